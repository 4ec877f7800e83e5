"""The inner loops of a step and a reset, three ways with the same bits: torch, Numba on a CPU, Triton on a GPU."""
