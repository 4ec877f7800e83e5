"""The info that a reset or a step hands out, as `mecca_env.vector_env.MeccaVectorEnv` describes it."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from mecca_env.process.transitions import MEASURES, Transition, known
from mecca_env.state import OF_A_STREAM, State

Info: TypeAlias = dict[str, Any]

OF_A_TRANSITION = ("voxel_reward", *MEASURES)
"""Entries that belong to a step, as its reward does; the others belong to the state that the observation shows."""


def info_of(state: State, transition: Transition | None) -> Info:
    """The info of B episodes. Whatever is measured against the label of an unlabelled one is NaN (Sec. 3.6).

    Args:
        state: The one that the observation shows.
        transition: What led to it; None after a reset: its entries are zero. As in Gymnasium, with same-step autoreset
            it may be of another episode than the state.
    """
    dice = known(state.dice, state.labelled)
    info: Info = {
        "case_index": state.case_index,
        "labelled": state.labelled,
        "step": state.step,
        "dice": dice,
        "clicks": state.clicks,
        "n_clicks": state.n_clicks,
    }
    optional = {"click_signs": state.signs, "user": state.user, "advice": state.advice}
    for key, values in (optional | {name: getattr(state, name) for name in OF_A_STREAM}).items():
        if values is not None:
            info[key] = values
    if transition is not None:
        return info | {key: getattr(transition, key) for key in OF_A_TRANSITION}
    nothing = {key: known(torch.zeros_like(dice), state.labelled) for key in MEASURES}
    return info | nothing | {"voxel_reward": torch.zeros_like(state.probability)}


def final_info(observation: dict[str, Tensor], info: Info, ended: Tensor) -> Info:
    """The entries for episodes that end and are reset in the same step.

    Args:
        observation: The last one of every env.
        info: Likewise.
        ended: The envs that they are meant for, (B,) bool.
    """
    return {"final_obs": observation, "_final_obs": ended, "final_info": info, "_final_info": ended.clone()}


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same entries in memory of their own."""
    return {key: value.clone() for key, value in tensors.items()}
