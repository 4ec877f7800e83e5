"""Agents for interactive segmentation: MECCA and the methods it is compared with."""
