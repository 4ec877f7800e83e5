"""Devices, several processes, and how they are stopped."""
