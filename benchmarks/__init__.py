"""What is timed, against what, as ratios: `python -m benchmarks.step` from the repository root."""
