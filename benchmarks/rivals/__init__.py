"""What the environment's speed is compared with."""
