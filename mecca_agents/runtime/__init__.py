"""Where it computes: devices, several processes, and how they are stopped."""
