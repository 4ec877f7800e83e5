"""Prompts as the field's challenges make them from a label: boxes, and clicks into what is wrong."""

from mecca_env.prompts.boxes import SliceBox, middle_slice_box
from mecca_env.prompts.errors import Click, largest_error_click

__all__ = ["Click", "SliceBox", "largest_error_click", "middle_slice_box"]
