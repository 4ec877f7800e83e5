"""Where cases come from: the phantom, the published layouts, any folder of NIfTI files."""
