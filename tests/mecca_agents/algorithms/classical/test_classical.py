"""Random walker, GrowCut and the ellipsoid, from prompts whose answer is known."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from mecca_agents.agent import SIGNED_METHODS, TaskSpec, make_agent
from mecca_agents.algorithms.classical.seeds import Seeds, core_of
from mecca_agents.evaluation import evaluate_agent
from mecca_agents.presets import FAST
from mecca_agents.runs.loading import load_agent
from mecca_agents.training import train
from mecca_env.process.config import EnvConfig

SHAPE = (20, 18, 16)
METHODS = tuple(SIGNED_METHODS)
CPU = torch.device("cpu")
AWAY = np.full(SHAPE, np.inf)


def agent(method: str, **task: Any) -> Any:
    spec = {"action": "continuous", "hints": 2, "box": True, **task}
    return make_agent(method, FAST, TaskSpec(SHAPE, 1, EnvConfig.adjustments, **spec), device=CPU, seed=0)


def ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    grids = np.indices(SHAPE)
    return np.asarray(sum((g - c) ** 2 for g, c in zip(grids, centre, strict=True)) <= radius**2)


def observation(
    target: np.ndarray,
    inside: list[Any] = (),
    outside: list[Any] = (),
    box: bool = True,
    seed: int = 0,  # type: ignore[assignment]
) -> dict[str, torch.Tensor]:
    noise = np.random.default_rng(seed).normal(0, 0.1, SHAPE)
    hint = np.zeros((2, *SHAPE), np.float32)
    for channel, clicks in enumerate((inside, outside)):
        for click in clicks:
            hint[channel][click] = 1
    shown = np.zeros(SHAPE, np.float32)
    if box:
        where = np.argwhere(target)
        shown[tuple(slice(a, b + 1) for a, b in zip(where.min(0), where.max(0), strict=True))] = 1
    return {
        "volume": torch.from_numpy((2.0 * target + noise).astype(np.float32))[None],
        "probability": torch.full((1, *SHAPE), 0.5),
        "hint": torch.from_numpy(hint)[None],
        "box": torch.from_numpy(shown)[None],
    }


def mask(method: Any, seen: dict[str, torch.Tensor]) -> np.ndarray:
    action = method.act(seen)
    assert action.shape == seen["probability"].shape and action.abs().max() <= 1
    return np.asarray((seen["probability"] + action > 0.5)[0])


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize("method", METHODS)
def test_a_bright_ball_is_found_from_its_box_and_from_a_click(method: str) -> None:
    target = ball((10, 9, 8), 5.3)
    assert dice(mask(agent(method), observation(target)), target) > 0.9
    clicked = observation(target, inside=[(10, 9, 8)], box=False)
    assert dice(mask(agent(method), clicked), target) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_clicks_part_two_balls_of_the_same_brightness(method: str) -> None:
    target, other = ball((6, 9, 8), 4), ball((14, 9, 8), 4)
    seen = observation(target | other, inside=[(6, 9, 8)], outside=[(14, 9, 8)], box=False)
    assert dice(mask(agent(method), seen), target) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_each_episode_has_its_own_mask(method: str) -> None:
    seen = [observation(ball((10, 9, 8), r), seed=n) for n, r in enumerate((3.2, 5.3, 4.1))]
    together = {key: torch.cat([one[key] for one in seen]) for key in seen[0]}
    actions = agent(method).act(together)
    for row, one in enumerate(seen):
        assert torch.equal(actions[row : row + 1], agent(method).act(one))


@pytest.mark.parametrize("method", METHODS)
def test_without_a_prompt_there_is_no_target(method: str) -> None:
    assert not mask(agent(method), observation(ball((10, 9, 8), 5), box=False)).any()
    plain = agent(method, box=False)
    seen = observation(ball((10, 9, 8), 5), outside=[(1, 1, 1)], box=False)
    del seen["box"]
    assert not mask(plain, seen).any()


@pytest.mark.parametrize("method", METHODS)
def test_a_mask_follows_from_what_is_seen_alone(method: str) -> None:
    seen, played = observation(ball((10, 9, 8), 5.3), inside=[(10, 9, 8)]), agent(method)
    first = played.act(seen)
    played.act(observation(ball((6, 9, 8), 4), seed=1))
    assert torch.equal(played.act(seen), first) and torch.equal(agent(method).act(seen), first)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
def test_a_scan_without_edges_is_parted_by_distance(method: str) -> None:
    seen = observation(ball((10, 9, 8), 5.3))
    seen["volume"][:] = 0.0
    found, boxed = mask(agent(method), seen), seen["box"][0].numpy() > 0
    assert core_of(boxed, AWAY).sum() < found.sum() < boxed.sum() / 2 and not (found & ~boxed).any()


def test_the_random_walker_lets_no_warning_out() -> None:
    everywhere = observation(ball((10, 9, 8), 5.3))
    everywhere["hint"][:, 1] = 1  # nothing is left to be found
    everywhere["hint"][:, :, 10] = torch.tensor((1.0, 0.0)).view(1, 2, 1, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = mask(agent("random-walker"), everywhere)
        mask(agent("random-walker"), observation(ball((10, 9, 8), 5.3)))  # scikit-image: outside of [0, 1] by a little
    assert not caught and found[10].all() and found.sum() == found[10].size


def automaton(volume: np.ndarray, seeds: Seeds) -> np.ndarray:
    """GrowCut as it is published, step by step, of one modality."""
    side, strength = np.where(seeds.inside, 1, 0), np.where(seeds.inside | seeds.outside, 1.0, 0.0)
    g = 1 - np.abs(np.subtract.outer(volume, volume)) / np.ptp(volume)
    neighbours = {
        p: [q for q in np.ndindex(volume.shape) if np.abs(np.subtract(p, q)).sum() == 1]
        for p in np.ndindex(volume.shape)
    }
    while True:
        new, grown = side.copy(), strength.copy()
        for p, near in neighbours.items():
            for q in near:
                if (attack := g[p + q] * strength[q]) > grown[p]:
                    new[p], grown[p] = side[q], attack
        if (grown == strength).all():
            return new == 1
        side, strength = new, grown


@pytest.mark.parametrize("seed", range(4))
def test_growcut_ends_where_its_automaton_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.normal(size=(6, 5, 4)).astype(np.float32)
    inside, outside = np.zeros((2, *volume.shape), bool)
    inside[1, 1, 1] = inside[4, 0, 3] = outside[5, 4, 0] = outside[0, 4, 3] = True
    seeds = Seeds(inside, outside)
    found = agent("growcut").mask(volume[None], seeds)
    assert np.array_equal(found, automaton(volume.astype(np.float64), seeds)) and 10 < found.sum() < 110
    assert np.array_equal(found, agent("growcut").mask(np.stack((volume, volume)), seeds))


@pytest.mark.parametrize("method", METHODS)
def test_clicks_without_a_side_are_refused(method: str) -> None:
    with pytest.raises(ValueError, match=f"{method}: expected clicks inside and outside the target"):
        agent(method, hints=1)
    with pytest.raises(ValueError, match=f"{method}: expected continuous actions and no guide"):
        agent(method, action="discrete")


def test_the_ellipsoid_is_inscribed_in_the_box_that_is_shown() -> None:
    boxed = observation(ball((10, 9, 8), 5.4))
    none = observation(ball((10, 9, 8), 5.4), box=False)
    seen = {key: torch.cat((boxed[key], none[key])) for key in boxed}
    action = agent("ellipsoid", action="discrete").act(seen)
    raised = torch.tensor(EnvConfig.adjustments)[action] > 0
    assert dice(raised[0].numpy(), ball((10, 9, 8), 5.4)) > 0.9 and not raised[1].any()


@pytest.mark.parametrize("method", METHODS)
def test_it_is_a_method_of_a_benchmark(method: str, tmp_path: Any) -> None:
    preset = FAST.replace(shape=(12, 12, 10), updates=1)
    settings = {"protocol": "one-click", "horizon": 2}
    train(method, "MECCA-Phantom-v0", tmp_path / "run", preset=preset, settings=settings, device="cpu")
    results = evaluate_agent(*load_agent(tmp_path / "run"), cases=2)
    assert len(results) == 4 and all(result.dice > 0.2 for result in results)
