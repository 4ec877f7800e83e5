"""Focal-IteR-MRL (Sec. 4.4): IteR-MRL on the gain of the focal cross-entropy (Eq. 12-13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mecca_agents.algorithms.iter_mrl import IterMRL
from mecca_agents.presets import Preset


class FocalIterMRL(IterMRL):
    """The method; an `Agent`."""

    name = "focal-iter-mrl"

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The focal reward."""
        return {**super().env_settings(preset, settings), "reward": "focal"}
