"""BS-IRIS (Ma et al., 2021): supervoxel-level clicks and a boundary-aware reward on a voxel-wise actor-critic.

A click marks the whole supervoxel that it lies in, so that few clicks tell much, and the relative gain weighs more near
the label's boundary. Both are settings of the environment (`hint="supervoxel"`, `reward="boundary"`); networks, update
and schedule are those of IteR-MRL, as for every reinforcement learner here.

Inferred, since neither that paper's constants nor its code are at hand: that supervoxels are SLIC's, `SUPERVOXELS` of
them (the 100 of MECCA's guide, Sec. 3.5, are large enough to cross most edges); that the weight is
1 + w exp(-d^2 / 2 s^2) with d the distance to the boundary (`boundary_weight`, `boundary_sigma`); and that one map of
clicks is enough, since the user clicks edges, which are neither foreground nor background by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mecca_agents.algorithms.iter_mrl import IterMRL
from mecca_agents.presets import Preset
from mecca_env.process.config import EnvConfig
from mecca_env.process.protocols import with_protocol

SUPERVOXELS = 400
"""Supervoxels of a case, the same at every step."""


class BSIRIS(IterMRL):
    """The method; an `Agent`."""

    name = "bs-iris"
    footnote = (
        "Its constants and supervoxels are inferred, and its clicks are unsigned: they lie on edges, "
        "so that a supervoxel marked by one can reach to both sides."
    )

    @classmethod
    def env_settings(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Supervoxel-level clicks, small supervoxels, and the boundary-aware reward."""
        supervoxels = [SUPERVOXELS] * with_protocol(settings).get("horizon", EnvConfig.horizon)
        own = {"hint": "supervoxel", "reward": "boundary", "supervoxels": supervoxels}
        return {**super().env_settings(preset, settings), **own}
