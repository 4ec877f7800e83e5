"""The data sets of a run as its settings keep them: folders, cases, further sources, all of it as JSON holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mecca_agents.runs.envs import LISTED_CASES
from mecca_env.data.base import VolumeSource
from mecca_env.data.files import FileSource
from mecca_env.data.mixture import MixedSource
from mecca_env.vector_env import MeccaVectorEnv


def case_names(envs: MeccaVectorEnv) -> tuple[str, ...]:
    """The names of all cases that are played; none where they are endless."""
    if len(envs.cases) > LISTED_CASES:
        return ()
    return tuple(envs.dataset.case_name(int(i)) for i in envs.cases.indices)


def root_of(source: VolumeSource) -> str | None:
    """The folder of a data set, of several that of the first; None of what is not read from files."""
    first = source.parts[0].source if isinstance(source, MixedSource) else source
    return str(first.root.resolve()) if isinstance(first, FileSource) else None


def plain_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """A further data set, its folder the same wherever the training is gone on with.

    Args:
        source: As the environment takes it (`mecca_env.data.mixture`).
    """
    root = source.get("root")
    return {**source, **({} if root is None else {"root": str(Path(root).expanduser().resolve())})}


def plain_cases(cases: int | Sequence[str | int] | NDArray[Any] | None) -> int | tuple[str | int, ...] | None:
    """The cases that were asked for."""
    if cases is None:
        return None
    if isinstance(cases, (int, np.integer)):
        return int(cases)
    return tuple(str(case) if isinstance(case, str) else int(case) for case in cases)
