"""Tensor tools that everything here rests on: random streams, exact sums, memory used again, copies to a device."""
