"""Rivals: the code that the environment's speed is compared with."""
