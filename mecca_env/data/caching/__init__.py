"""Prepared cases kept: on disk, in memory, on the device, and fetched in the background."""
