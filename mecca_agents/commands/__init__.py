"""The commands of `mecca`, one a file."""
