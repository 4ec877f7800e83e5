"""Steps of some envs only, for libraries that leave out the ones whose episodes are over."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from mecca_env.state import replace_rows, take_rows
from mecca_env.vector_env import MeccaVectorEnv, StepResult


def step_some(envs: MeccaVectorEnv, actions: Any, acting: NDArray[np.bool_]) -> StepResult:
    """A step of the envs marked in `acting`; the others stay where they are and earn nothing.

    Args:
        envs: Without autoreset.
        actions: Of all envs, as `MeccaVectorEnv.step` takes them; those of the others have no effect.
        acting: (B,) bool.

    Returns:
        As `MeccaVectorEnv.step`; envs that stay are `terminated` when they were over before.

    Raises:
        ValueError: The envs reset themselves.
        gymnasium.error.ResetNeeded: An env that acts is over.
    """
    if envs.autoreset_mode is not AutoresetMode.DISABLED:
        raise ValueError(
            f"autoreset_mode: expected 'Disabled' for steps of some envs, got {envs.autoreset_mode.value!r}"
        )
    before, over, steps = envs.state, envs._over.copy(), envs._steps.copy()
    envs._over = over & acting  # envs that stay are put back below, so they need not be fit for a step
    try:
        _, reward, terminated, truncated, info = envs.step(actions)
    except Exception:
        envs._over = over
        raise
    rows = torch.from_numpy(np.flatnonzero(~acting)).to(envs.device)
    envs._state = state = replace_rows(envs.state, rows, take_rows(before, rows))
    envs._over, envs._steps = np.where(acting, envs._over, over), np.where(acting, envs._steps, steps)
    envs.steps_taken -= len(rows)
    terminated = terminated.index_copy(0, rows, torch.from_numpy(over[~acting]).to(envs.device))
    earned = {key: info[key].index_fill(0, rows, 0) for key in envs._TRANSITION_KEYS}
    return envs._observe(state), reward.index_fill(0, rows, 0), terminated, truncated, envs._info(state, None) | earned
