"""All that is to be found out on a GPU, by one command that stops in time and goes on where it stopped."""
