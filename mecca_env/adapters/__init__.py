"""The environments as other libraries want them; each module needs its library, which its error message names."""
