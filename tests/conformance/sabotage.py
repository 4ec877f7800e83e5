"""Vector envs that break a promise, for the checker to notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gymnasium.vector import AutoresetMode

from mecca_env.testing import check_vector_env
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, Blobs

SAME, NEXT, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED


def sabotaged(
    kind: type[MeccaVectorEnv], mode: AutoresetMode = SAME, num_envs: int = 3, **settings: Any
) -> MeccaVectorEnv:
    """An env of that kind."""
    return kind(num_envs, **{"dataset": Blobs(), **SETTINGS, "autoreset_mode": mode, **settings})


def refuses(kind: type[MeccaVectorEnv], complaint: str, mode: AutoresetMode = SAME, **settings: Any) -> None:
    """Have the checker complain about envs of that kind."""
    with pytest.raises(AssertionError, match=complaint):
        check_vector_env(sabotaged(kind, mode, **settings), steps=8)


class ChangedStep(MeccaVectorEnv):
    """An env whose steps return something else than they should."""

    change: Callable[[Any, Any, Any, Any, Any, Any], Any]

    def step(self, actions: Any) -> Any:
        return self.change(*super().step(actions))


def changing(function: Callable[[Any, Any, Any, Any, Any, Any], Any]) -> type[MeccaVectorEnv]:
    """A kind of env whose steps return what the function makes of it."""
    return type("Sabotaged", (ChangedStep,), {"change": function})
