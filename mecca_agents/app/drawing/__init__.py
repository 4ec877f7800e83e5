"""Slices of a scan as pictures with lines on them."""
