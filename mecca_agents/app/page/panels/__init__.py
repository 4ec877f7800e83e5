"""The panel beside the views and its tabs."""
