"""What those who write a benchmark's folder and those who read it agree on: its version."""

from __future__ import annotations

FORMAT = 2
"""Version of the folder's layout. 1 had no numbers of labelled cases, and under `seed` the seed of the
simulated user."""
