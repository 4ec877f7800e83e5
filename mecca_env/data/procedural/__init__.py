"""What the built-in data sets share: noise with the same bits on every device, and the source of endless cases."""
