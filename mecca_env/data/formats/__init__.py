"""What lies below the readers of image files: compressed streams, and the formats that ITK reads."""
