"""Data sets and their cases: the phantom, the published layouts, any folder of NIfTI files."""
