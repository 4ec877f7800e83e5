"""Benchmarks of speed, against rivals, as ratios: `python -m benchmarks.step` from the repository root."""
