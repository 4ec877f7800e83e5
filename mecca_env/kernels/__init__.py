"""The inner loops of the env step, three ways with the same bits: plain torch, Numba on a CPU, Triton on a GPU."""
