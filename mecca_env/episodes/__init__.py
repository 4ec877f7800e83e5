"""The host's side of an episode: which case, with which draws, and how all of it is kept and restored."""
