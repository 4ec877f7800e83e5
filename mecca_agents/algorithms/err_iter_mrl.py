"""Err-IteR-MRL (Sec. 4.4): IteR-MRL on a gain that weighs more where the last segmentation was wrong (Eq. 14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mecca_agents.algorithms.iter_mrl import IterMRL
from mecca_agents.presets import Preset


class ErrIterMRL(IterMRL):
    """The method; an `Agent`."""

    name = "err-iter-mrl"

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The error-weighted reward."""
        return {**super().env_settings(preset, settings), "reward": "error"}
