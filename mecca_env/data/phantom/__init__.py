"""The built-in data set: endless phantoms of brains with tumours."""

from mecca_env.data.phantom.source import CASES, PhantomSource, phantom_scan

__all__ = ["CASES", "PhantomSource", "phantom_scan"]
