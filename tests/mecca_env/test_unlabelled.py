"""Nothing that an env tells of an unlabelled episode comes from its label: it is NaN, and a target is never reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from mecca_env.env import MeccaEnv
from mecca_env.kernels.backend import plain_torch
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS, Blobs, make_envs, random_actions

HIDDEN = ("dice", "misunderstanding", "misunderstanding_literal")
MODES = [mode.value for mode in AutoresetMode]
HALF: dict[str, Any] = {"dataset": Blobs(8), "labelled_fraction": 0.5, "labelled_share": 0.5, "augment": False}


def unknown(info: dict[str, Any], where: Tensor) -> None:
    """Exactly the episodes outside of `where` (B,) have NaN for all that is measured against a label."""
    for key in HIDDEN:
        assert torch.equal(info[key].isnan(), ~where), key


def right_moves(envs: MeccaVectorEnv) -> Tensor:
    """Towards the label, as far as one step goes."""
    return torch.where(envs.state.label, 5, 0)


@pytest.mark.parametrize("action", ["discrete", "continuous"])
@pytest.mark.parametrize("mode", MODES)
def test_measures_of_unlabelled_episodes_are_nan(mode: str, action: str) -> None:
    """A transition's are those of the episode that moved, also where another one has begun since."""
    envs = make_envs(4, autoreset_mode=mode, action=action, **HALF)
    _, info = envs.reset(seed=1)
    assert info["labelled"].tolist() == [True, False] * 2
    unknown(info, info["labelled"])
    over = torch.zeros(4, dtype=torch.bool)
    for actions in random_actions(envs, 7):
        moved = info["labelled"]
        if mode == "Disabled" and over.any():
            _, info = envs.reset(options={"reset_mask": over.numpy()})
            unknown(info, info["labelled"])
            moved = info["labelled"]
        *_, over, _, info = envs.step(actions if action == "discrete" else (actions / 3 - 1).astype(np.float32))
        if mode == "NextStep":  # what was over has begun anew, and nothing moved there
            moved = info["labelled"]
        assert torch.equal(info["dice"].isnan(), ~info["labelled"])
        for key in HIDDEN[1:]:
            assert torch.equal(info[key].isnan(), ~moved), key
        if "final_info" in info:
            assert torch.equal(info["final_info"]["labelled"], moved)
            unknown(info["final_info"], moved)


def test_envs_that_stay_where_they_are_stay_unknown() -> None:
    envs = make_envs(4, autoreset_mode="Disabled", **HALF)
    envs.reset(seed=1)
    *_, info = envs.step_some(random_actions(envs, 1)[0], np.array([True, True, False, False]))
    unknown(info, info["labelled"])
    assert info["misunderstanding"][0] > 0 and info["misunderstanding"][2] == 0


@pytest.mark.parametrize("labelled", [True, False])
def test_of_the_single_env_too(labelled: bool) -> None:
    env = MeccaEnv(dataset=Blobs(), labelled_fraction=float(labelled), **SETTINGS)
    _, info = env.reset(seed=0)
    infos = [info] + [env.step(np.zeros(env.config.shape, np.int64))[4] for _ in range(3)]
    assert all(np.isnan(info[key]) != labelled for info in infos for key in HIDDEN)
    assert all(isinstance(info[key], float) for info in infos for key in HIDDEN)


@pytest.mark.parametrize("plainly", [False, True], ids=["kernels", "torch"])
def test_a_labelled_episode_has_the_bits_it_had(plainly: bool) -> None:
    """Beside unlabelled ones and alone, whoever does the inner loops."""
    with plain_torch() if plainly else torch.no_grad():
        mixed, alone = make_envs(2, **HALF), make_envs(2, dataset=HALF["dataset"], augment=False)
        _, info = mixed.reset(seed=1)
        alone.reset(seed=1, options={"cases": info["case_index"].tolist()})
        for action in random_actions(mixed, 2):
            one, two = mixed.step(action), alone.step(action)
            for key in HIDDEN:
                assert torch.equal(one[4][key][:1], two[4][key][:1]) and one[4][key].dtype == torch.float32
            assert torch.equal(one[1][:1], two[1][:1]) and one[4]["dice"][0] > 0


@pytest.mark.parametrize("plainly", [False, True], ids=["kernels", "torch"])
def test_a_target_ends_labelled_episodes_alone(plainly: bool) -> None:
    with plain_torch() if plainly else torch.no_grad():
        envs = make_envs(4, target_dice=0.9, autoreset_mode="Disabled", **HALF)
        envs.reset(seed=1)
        *_, terminated, _, info = envs.step(right_moves(envs))
        assert (envs.state.dice == 1).all()  # they have all reached it
        assert torch.equal(terminated, info["labelled"])
        clicked = info["n_clicks"] > 6
        assert not clicked[info["labelled"]].any()  # nor do their users click any more


def test_a_restored_env_tells_no_more(tmp_path: Any) -> None:
    envs = make_envs(4, **HALF)
    envs.reset(seed=1)
    envs.step(random_actions(envs, 1)[0])
    _, info = make_envs(4, **HALF).restore(envs.snapshot())
    unknown(info, info["labelled"])
