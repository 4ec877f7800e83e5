"""What an env hands out is its own memory: a write to it is refused at the next step, by name, and nothing else is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mecca_env.kernels.backend import plain_torch
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import VARIANTS, full_actions, make_envs
from tests.support.trees import same

GUIDED = VARIANTS["guide"]
KEYS = [("observation", key) for key in ("volume", "probability", "hint")]
KEYS += [("info", key) for key in ("case_index", "labelled", "step", "clicks", "n_clicks", "advice")]

WRITES: dict[str, Callable[[Tensor], Any]] = {
    "in place": lambda tensor: tensor.mul_(0),
    "by index": lambda tensor: tensor.__setitem__(0, 0),
    "through a view": lambda tensor: tensor[:, 1:].zero_(),
    "through detach": lambda tensor: tensor.detach().zero_(),
    "as a target": lambda tensor: torch.zeros(tensor.shape, out=tensor),
}


def refuses(envs: MeccaVectorEnv, name: str, action: Any) -> None:
    with pytest.raises(RuntimeError) as raised:
        envs.step(action)
    assert str(raised.value).startswith(f"{name}: expected what was handed out, found that it was written to since")


@pytest.mark.parametrize("after", ["reset", "step"])
@pytest.mark.parametrize(("kind", "key"), KEYS)
def test_a_write_is_refused_by_name(kind: str, key: str, after: str, device: str) -> None:
    envs = make_envs(2, device=device, **GUIDED)
    actions = full_actions(envs, 2)
    observation, info = envs.reset(seed=0)
    if after == "step":
        observation, *_, info = envs.step(actions[0])
    {"observation": observation, "info": info}[kind][key].zero_()
    steps = envs.state.step.clone()
    refuses(envs, f"{kind}['{key}']", actions[1])
    refuses(envs, f"{kind}['{key}']", actions[1])
    assert torch.equal(envs.state.step, steps)


@pytest.mark.parametrize("write", WRITES)
def test_ways_to_write(write: str) -> None:
    envs = make_envs(2, action="continuous")
    action = full_actions(envs, 1)[0]
    observation, _ = envs.reset(seed=0)
    WRITES[write](observation["probability"])
    refuses(envs, "observation['probability']", action)


def test_all_that_was_written_to_is_named() -> None:
    envs = make_envs(2)
    observation, info = envs.reset(seed=0)
    observation["hint"].zero_()
    info["clicks"].zero_()
    envs.state.label.zero_()
    refuses(envs, "state.label, observation['hint'], info['clicks']", full_actions(envs, 1)[0])


@pytest.mark.parametrize("loops", ["compiled", "plain"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_copies_and_what_is_no_state_may_be_written_to(variant: str, loops: str) -> None:
    """Past two ends: copies, what was seen before, what a step earned, what has ended."""
    envs, twin = make_envs(2, **VARIANTS[variant]), make_envs(2, **VARIANTS[variant])
    with plain_torch() if loops == "plain" else nullcontext():
        seen, _ = envs.reset(seed=0)
        twin.reset(seed=0)
        for action in full_actions(envs, 7):
            for tensor in seen.values():
                tensor.clone().zero_()
            observation, *numbers, info = envs.step(action)
            other, *_ = twin.step(action)
            same(observation, other)
            seen["probability"].zero_(), seen["hint"].zero_()
            earned = (info[key] for key in ("voxel_reward", "misunderstanding", "misunderstanding_literal", "dice"))
            ended = (tensor for key in ("final_obs", "final_info") for tensor in info.get(key, {}).values())
            for tensor in (*numbers, *earned, *ended):
                tensor.zero_()
            seen = observation


def test_a_reset_begins_anew() -> None:
    envs, twin = make_envs(2), make_envs(2)
    action = full_actions(envs, 1)[0]
    envs.reset(seed=0)[0]["hint"].zero_()
    refuses(envs, "observation['hint']", action)
    envs.reset(seed=4), twin.reset(seed=4)
    assert torch.equal(envs.step(action)[0]["hint"], twin.step(action)[0]["hint"])


def test_where_others_go_on_neither_reset_nor_snapshot_nor_steps_of_some() -> None:
    envs = make_envs(2, autoreset_mode="Disabled")
    action = full_actions(envs, 1)[0]
    envs.reset(seed=0)[0]["probability"].fill_(1)
    first = np.array([True, False])
    calls: list[Callable[[], Any]] = [
        lambda: envs.reset(seed=7, options={"reset_mask": first}),
        envs.snapshot,
        lambda: envs.step_some(action, first),
        lambda: copy.deepcopy(envs),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match=r"^observation\['probability'\]: expected what was handed out"):
            call()
    assert envs.np_random_seed == (0, 1)
    envs.reset(options={"reset_mask": np.array([True, True])})


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_within_inference_mode_too(mode: str) -> None:
    envs, twin = make_envs(2, autoreset_mode=mode), make_envs(2, autoreset_mode=mode)
    actions = full_actions(envs, 5)
    twin.reset(seed=0)
    with torch.inference_mode():
        envs.reset(seed=0)
        for action in actions[:3]:
            observation, *_ = envs.step(torch.as_tensor(action))
            same({k: v.clone() for k, v in observation.items()}, twin.step(action)[0])
        if mode == "Disabled":
            envs.reset(options={"reset_mask": np.array([True, True])})
        observation, *_ = envs.step(actions[3])
        observation["hint"].zero_()
        refuses(envs, "observation['hint']", actions[4])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda envs: pickle.loads(pickle.dumps(envs))])
def test_a_copy_of_an_env_goes_on(copied: Callable[[MeccaVectorEnv], MeccaVectorEnv]) -> None:
    envs = make_envs(2)
    actions = full_actions(envs, 3)
    envs.reset(seed=0)
    envs.step(actions[0])
    twin = copied(envs)
    for action in actions[1:]:
        assert torch.equal(envs.step(action)[0]["probability"], twin.step(action)[0]["probability"])
    twin.reset(seed=0)[0]["hint"].zero_()
    refuses(twin, "observation['hint']", actions[0])
    envs.step(actions[0])
