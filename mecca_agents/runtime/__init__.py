"""Devices, several processes, how they are stopped, and addresses to listen on."""
