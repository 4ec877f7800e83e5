"""A case onto an episode's grid, and a mask back onto the scan's."""
