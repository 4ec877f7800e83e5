"""The page as NiceGUI shows it."""
