"""The folder layouts that data sets are published in, one reader each: from a root folder to the cases in it."""

from mecca_env.data.inventory import CaseFiles, Inventory
from mecca_env.data.layouts.brats import BRATS_MODALITIES, DEFAULT_MODALITIES
from mecca_env.data.layouts.discovery import LAYOUTS, discover

__all__ = ["BRATS_MODALITIES", "DEFAULT_MODALITIES", "LAYOUTS", "CaseFiles", "Inventory", "discover"]
