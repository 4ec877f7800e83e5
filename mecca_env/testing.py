"""A checker for vector environments, which neither Gymnasium nor Stable-Baselines3 ships.

    from mecca_env.testing import check_vector_env

    check_vector_env(gym.make_vec("MECCA-Phantom-v0", num_envs=3))

It works on any `gymnasium.vector.VectorEnv`, its arrays NumPy or torch, and knows all three autoreset modes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

Array = NDArray[Any]
Step = tuple[Any, Array, Array, Array, dict[str, Any]]


def check_vector_env(
    envs: VectorEnv[Any, Any, Any], *, steps: int = 12, seed: int = 7, sample: Callable[[], Any] | None = None
) -> None:
    """Check that a vector environment keeps the promises of Gymnasium's API, and those that learners rely on.

    Spaces and metadata fit together; `reset` and `step` return arrays of the right shape, dtype and range; a seed fixes
    the trajectory; env i depends on its own seed and actions alone, not on its place in the batch nor on the others;
    nothing handed out is changed later; episodes end as the autoreset mode says; nothing works after `close`.

    Args:
        envs: The environment; it is closed at the end. At least two envs, so that there are others to depend on.
        steps: Steps to take in each rollout; some episode should end within them, or autoreset is not seen.
        seed: First seed.
        sample: Draws a batch of actions; None draws from the action space, seeded.

    Raises:
        AssertionError: A promise is broken; the message says which.
    """
    draw = sample or cast("Callable[[], Any]", envs.action_space.sample)
    envs.action_space.seed(seed)
    _check_declarations(envs)
    actions = [draw() for _ in range(steps)]
    first = _rollout(envs, actions, seed)
    _check_returns(envs, first)
    _check_autoreset(envs, first)
    again = _rollout(envs, actions, seed)
    _same(first.records, again.records, "two rollouts with the same seed and actions differ")
    _same(first.partial_resets, again.partial_resets, "two rollouts with the same seed and actions reset differently")
    first.check_unchanged()
    _check_places(envs, actions, seed, first)
    _check_others(envs, actions, draw, seed, first)
    if envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
        _check_partial_reset(envs, seed)
    _check_close(envs, actions[0])


class _Rollout:
    """Everything that the calls returned, and copies made at once, to see whether it stays what it was."""

    def __init__(self) -> None:
        self.live: list[Any] = []
        self.records: list[Any] = []
        self.live_resets: list[Any] = []
        self.partial_resets: list[Any] = []

    def add(self, returned: Any) -> None:
        """The first reset, or a step."""
        self.live.append(returned)
        self.records.append(_copy(returned))

    def add_partial_reset(self, returned: Any) -> None:
        """A reset of some envs, by the mask."""
        self.live_resets.append(returned)
        self.partial_resets.append(_copy(returned))

    def check_unchanged(self) -> None:
        """Assert that nothing returned has been written to since."""
        message = "an observation or info that was handed out was changed by a later call"
        _same(self.live, self.records, message)
        _same(self.live_resets, self.partial_resets, message)

    @property
    def resets(self) -> tuple[Any, dict[str, Any]]:
        return cast("tuple[Any, dict[str, Any]]", self.records[0])

    @property
    def steps(self) -> list[Step]:
        return cast("list[Step]", self.records[1:])


def _rollout(
    envs: VectorEnv[Any, Any, Any],
    actions: list[Any],
    seed: int | list[int],
) -> _Rollout:
    """Reset, then step; with autoreset disabled, ended envs are reset through the mask, as a user would."""
    rollout = _Rollout()
    rollout.add(envs.reset(seed=cast("Any", seed)))
    disabled = envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    for action in actions:
        returned = envs.step(action)
        rollout.add(returned)
        done = _host(returned[2]).astype(bool) | _host(returned[3]).astype(bool)
        if disabled and done.any():
            rollout.add_partial_reset(envs.reset(options={"reset_mask": done}))
    return rollout


def _check_declarations(envs: VectorEnv[Any, Any, Any]) -> None:
    mode = envs.metadata.get("autoreset_mode")
    assert isinstance(mode, AutoresetMode), f"metadata['autoreset_mode']: expected an AutoresetMode, got {mode!r}"
    own = getattr(envs.unwrapped, "autoreset_mode", mode)
    assert own is mode, f"autoreset_mode is {own}, but metadata['autoreset_mode'] is {mode}"
    assert envs.num_envs >= 2, f"num_envs: expected at least 2 to check their independence, got {envs.num_envs}"
    for name in ("observation_space", "action_space"):
        single, batched = getattr(envs, f"single_{name}"), getattr(envs, name)
        expected = gym.vector.utils.batch_space(single, envs.num_envs)
        assert expected == batched, f"{name}: expected the batch of single_{name}, {expected}, got {batched}"


def _check_returns(envs: VectorEnv[Any, Any, Any], rollout: _Rollout) -> None:
    observation, info = rollout.resets
    _check_observation(envs, observation, "reset()")
    _check_info(envs, info, "reset()")
    for observation, info in rollout.partial_resets:
        _check_observation(envs, observation, "reset() with a mask")
        if not isinstance(envs.unwrapped, SyncVectorEnv):  # which returns the infos of the envs in the mask alone
            _check_info(envs, info, "reset() with a mask")
    for number, (observation, reward, terminated, truncated, info) in enumerate(rollout.steps):
        where = f"step() number {number}"
        _check_observation(envs, observation, where)
        _check_info(envs, info, where)
        for name, array, kind in (
            ("reward", reward, "f"),
            ("terminated", terminated, "b"),
            ("truncated", truncated, "b"),
        ):
            assert array.shape == (envs.num_envs,), f"{where}: {name}: expected ({envs.num_envs},), got {array.shape}"
            assert array.dtype.kind == kind, f"{where}: {name}: unexpected dtype {array.dtype}"
        assert np.isfinite(reward).all(), f"{where}: reward is not finite: {reward}"


def _check_observation(envs: VectorEnv[Any, Any, Any], observation: Any, where: str) -> None:
    for index in range(envs.num_envs):
        row = _map(observation, itemgetter(index))
        space = envs.single_observation_space
        assert space.contains(row), f"{where}: observation of env {index} is not in the observation space {space}"


def _check_info(envs: VectorEnv[Any, Any, Any], info: Any, where: str) -> None:
    assert isinstance(info, dict), f"{where}: expected info to be a dict, got {type(info).__name__}"
    for path, array in _leaves(info):
        shape = getattr(array, "shape", None)
        assert shape and shape[0] == envs.num_envs, (
            f"{where}: info{path}: expected an array with one row for each of {envs.num_envs} envs, got {shape}"
        )


def _check_autoreset(envs: VectorEnv[Any, Any, Any], rollout: _Rollout) -> None:
    mode = envs.metadata["autoreset_mode"]
    over = np.zeros(envs.num_envs, dtype=bool)
    for number, (_, reward, terminated, truncated, info) in enumerate(rollout.steps):
        where, done = f"step() number {number}", terminated | truncated
        if mode is AutoresetMode.SAME_STEP:
            _check_final(envs, done, info, where)
        else:
            assert "final_obs" not in info, f"{where}: final_obs belongs to same-step autoreset, the mode is {mode}"
        if mode is AutoresetMode.NEXT_STEP:
            assert not done[over].any(), f"{where}: an env that was being reset ended again"
            assert (reward[over] == 0).all(), f"{where}: expected no reward in the step that resets, got {reward[over]}"
        over = done
    ended = any((terminated | truncated).any() for _, _, terminated, truncated, _ in rollout.steps)
    assert ended, f"no episode ended within {len(rollout.steps)} steps, so autoreset was not seen: pass more `steps`"


def _check_final(envs: VectorEnv[Any, Any, Any], done: Array, info: dict[str, Any], where: str) -> None:
    for key in ("final_obs", "final_info"):
        assert (key in info) == bool(done.any()), f"{where}: {key} is there when and only when an episode ended"
        if done.any():
            mask = info.get(f"_{key}")
            assert mask is not None and (mask == done).all(), f"{where}: _{key}: expected {done}, got {mask}"
    for index in np.flatnonzero(done):
        final = info["final_obs"]
        row = final[index] if isinstance(final, np.ndarray) else _map(final, itemgetter(index))
        assert envs.single_observation_space.contains(row), f"{where}: final_obs of env {index} is not an observation"


def _check_places(envs: VectorEnv[Any, Any, Any], actions: list[Any], seed: int, first: _Rollout) -> None:
    """Env i with seed s + i must do the same wherever in the batch it stands."""
    turned = [_map(action, lambda array: array[::-1].copy()) for action in actions]
    other = _rollout(envs, turned, [seed + i for i in reversed(range(envs.num_envs))])
    back = _map(_core(other), lambda array: array[::-1])
    _same(_core(first), back, "an env's trajectory depends on its place in the batch (or seeds are not seed + i)")


def _check_others(
    envs: VectorEnv[Any, Any, Any], actions: list[Any], draw: Callable[[], Any], seed: int, first: _Rollout
) -> None:
    """Env 0 must not notice what the other envs do."""

    def only_first(mine: Any, others: Any) -> Any:
        if isinstance(mine, dict):
            return {key: only_first(mine[key], others[key]) for key in mine}
        mixed = np.array(_host(others), copy=True)
        mixed[0] = _host(mine)[0]
        return mixed

    other = _rollout(envs, [only_first(action, draw()) for action in actions], seed)
    here, there = (_map(_core(r), lambda array: array[:1]) for r in (first, other))
    _same(here, there, "env 0's trajectory changes with the actions of the other envs")


def _check_partial_reset(envs: VectorEnv[Any, Any, Any], seed: int) -> None:
    before, _ = _map(envs.reset(seed=seed), lambda array: np.array(array, copy=True))
    mask = np.arange(envs.num_envs) == 0
    after, _ = _map(envs.reset(options={"reset_mask": mask}), lambda array: array)
    here, there = (_map(obs, lambda array: array[1:]) for obs in (before, after))
    _same(here, there, "reset with a mask changed envs outside the mask")


def _check_close(envs: VectorEnv[Any, Any, Any], action: Any) -> None:
    envs.close()
    for name, call in (("reset", lambda: envs.reset(seed=0)), ("step", lambda: envs.step(action))):
        try:
            call()
        except Exception:
            continue
        raise AssertionError(f"{name}() works after close()")


def _core(rollout: _Rollout) -> list[Any]:
    """Observations, rewards and endings: what must not depend on anything but an env's own seed and actions."""
    return [rollout.resets[0], *(step[:4] for step in rollout.steps)]


def _copy(tree: Any) -> Any:
    return _map(tree, lambda array: np.array(array, copy=True))


def _host(array: Any) -> Array:
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)


def _map(tree: Any, function: Callable[[Array], Any]) -> Any:
    """Apply to every array of nested dicts, lists, tuples and object arrays, torch tensors as NumPy views."""
    if isinstance(tree, dict):
        return {key: _map(value, function) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map(value, function) for value in tree)
    array = _host(tree)
    if not _holds_objects(array):
        return function(array)
    mapped = np.empty(len(array), dtype=object)  # as Gymnasium's vector envs keep final observations
    for index, value in enumerate(array):
        mapped[index] = None if value is None else _map(value, function)
    return mapped


def _holds_objects(array: Array) -> bool:
    return array.dtype.kind == "O" and array.ndim == 1


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}[{key!r}]")
    else:
        yield path, tree


def _same(one: Any, two: Any, message: str, path: str = "") -> None:
    """Assert that two nests of arrays are equal, bit for bit."""
    if isinstance(one, dict):
        assert isinstance(two, dict) and one.keys() == two.keys(), f"{message} (at {path}: other keys)"
        for key in one:
            _same(one[key], two[key], message, f"{path}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), f"{message} (at {path}: other length)"
        for index, (a, b) in enumerate(zip(one, two, strict=True)):
            _same(a, b, message, f"{path}[{index}]")
    else:
        a, b = _host(one), _host(two)
        if _holds_objects(a) and _holds_objects(b):
            return _same(list(a), list(b), message, path)
        same = np.array_equal(a, b, equal_nan=True) if a.dtype.kind == "f" else np.array_equal(a, b)
        assert same, f"{message} (at {path})"
