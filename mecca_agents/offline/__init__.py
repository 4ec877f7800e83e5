"""Episodes as Minari data sets: an agent's, or people's."""
