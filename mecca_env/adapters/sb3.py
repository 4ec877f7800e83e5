"""The torch vector env as Stable-Baselines3's `VecEnv`: `pip install -e ".[sb3]"`.

import gymnasium as gym
from stable_baselines3 import A2C
from mecca_env.adapters.sb3 import VoxelVecEnv
from mecca_env.wrappers import SupervoxelActionVectorWrapper

envs = VoxelVecEnv(SupervoxelActionVectorWrapper(gym.make_vec("MECCA-Phantom-v0", num_envs=8)))
A2C("MultiInputPolicy", envs).learn(10_000)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.extras import missing
from mecca_env.vector_env import MeccaVectorEnv
from mecca_env.wrappers import FlattenAction

try:
    from stable_baselines3.common.vec_env import VecEnv
except ImportError as error:
    raise ImportError(missing("mecca_env.adapters.sb3", "Stable-Baselines3", "sb3")) from error

_OF_ONE = ("case_name", "paste_back", "scene")  # methods of the vector env whose first argument is the env's number
_OF_EACH = ("np_random", "np_random_seed")  # attributes that hold one thing for each env
_OF_A_STEP = ("misunderstanding", "misunderstanding_literal")  # numbers that a reset has not
_OF_ALL = ("close", "reset", "step", "restore", "snapshot")  # methods that cannot be of one env


class VoxelVecEnv(VecEnv):
    """B episodes of a torch vector env, for Stable-Baselines3.

    Observations, rewards and endings are NumPy arrays that belong to the caller; with `numpy=False` observations are
    the env's own tensors, on its device, for learners that leave them there. Actions, NumPy or torch, are flat,
    (B, D * H * W), since Stable-Baselines3 takes no `MultiDiscrete` of three dimensions; of an env with supervoxel
    actions they are (B, N) as they are there.

    `infos` hold the env's numbers, a `dict` for each env: `dice`, `n_clicks`, `step`, `case_index`, `labelled`,
    `misunderstanding`. Where an episode ended they are those of its end, with `terminal_observation` besides; what
    begins then is in `reset_infos`. `TimeLimit.truncated` is set where `max_episode_steps` cut an episode short, and
    never at its own last step: nothing comes after that.
    Grids stay where they are: `last_info` holds what the vector env's last `step` or `reset` returned, `voxel_reward`
    (B, D, H, W) for one.

    Env i is seeded with `seed + i`. `set_options({"case": name})` names the case of the next reset.

    Args:
        envs: `gym.make_vec(...)` of this package, in wrappers of torch or none, with same-step autoreset and without a
            guide.
        numpy: Whether observations are NumPy arrays.

    Attributes:
        envs: What was given, with flat actions.
        base: The vector env under all wrappers.
        observation: The last observation, in tensors on the env's device.
        last_info: The last info, likewise.

    Raises:
        TypeError: No vector env of this package, or one that hands out NumPy arrays.
        ValueError: It has a guide or another autoreset mode; the message says which setting to change.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any], numpy: bool = True) -> None:
        self.base, self.envs, self.numpy = check_envs(envs), FlattenAction(envs), numpy
        self.observation: Any = None
        self.last_info: dict[str, Any] = {}
        self._views = [_One(envs, self.base, index) for index in range(envs.num_envs)]
        self._given: Any = None
        super().__init__(envs.num_envs, envs.single_observation_space, self.envs.single_action_space)

    def reset(self) -> Any:
        """Begin new episodes in all envs, with the seeds and options that were set before, which are used up by it."""
        options = {"cases": [_case_of(given) for given in self._options]}
        self.observation, self.last_info = self.envs.reset(seed=self._seeds, options=options)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = _rows(_numbers(self.last_info), self.num_envs)
        return self._handed_out(self.observation)

    def step_async(self, actions: NDArray[Any] | Tensor) -> None:
        """Keep the actions, (B, number of actions), torch or NumPy, for `step_wait`."""
        self._given = actions

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Take the step.

        Raises:
            ValueError, TypeError: The actions are none; the message says what was expected and what was given.
        """
        self.observation, reward, terminated, truncated, info = self.envs.step(self._given)
        self.last_info = info
        numbers = _numbers({**info, "reward": reward, "done": terminated | truncated, "terminated": terminated})
        rewards, done, ended = (numbers.pop(name) for name in ("reward", "done", "terminated"))
        infos = _rows({**numbers, "TimeLimit.truncated": done & ~ended}, self.num_envs)
        if done.any():
            self._end(np.flatnonzero(done), info, infos)
        return self._handed_out(self.observation), rewards, done, infos

    def close(self) -> None:
        """Close the env."""
        self.envs.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One RGB frame for each env. Raises `ValueError` where the env was made without render_mode="rgb_array"."""
        if self.render_mode != "rgb_array":
            raise ValueError(f"render_mode: expected 'rgb_array' when the env was made, got {self.render_mode!r}")
        frames: Sequence[NDArray[np.uint8]] = self.envs.render()  # type: ignore[assignment]
        return frames

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute for each of those envs: of the vector env, its part of env i where there is one."""
        return [getattr(view, attr_name) for view in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None) -> None:
        """Set an attribute of the vector env. Raises `ValueError` for some of the envs: they have all in common."""
        if len(list(self._chosen(indices))) < self.num_envs:
            raise ValueError(f"indices: expected None, since all envs share {attr_name!r}, got {indices!r}")
        setattr(self.envs.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: int | Iterable[int] | None = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of each of those envs, `case_name()` or `paste_back()` for one.

        Raises:
            AttributeError: It has no such method, or one that would act on all envs.
        """
        return [getattr(view, method_name)(*method_args, **method_kwargs) for view in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None) -> list[bool]:
        """Tell whether the vector env has such a wrapper, for each of those envs."""
        wrapped = any(isinstance(layer, wrapper_class) for layer in _layers(self.envs))
        return [wrapped for _ in self._chosen(indices)]

    def _end(self, ended: NDArray[np.int64], info: dict[str, Any], infos: list[dict[str, Any]]) -> None:
        """Put what ended into the infos of those envs, and what began there into `reset_infos`."""
        finals = _rows(_numbers(info["final_info"]), self.num_envs)
        last = self._handed_out(info["final_obs"])
        for index in ended:
            self.reset_infos[index] = {key: infos[index][key] for key in finals[index] if key not in _OF_A_STEP}
            infos[index] |= finals[index]
            infos[index]["terminal_observation"] = _mapped(itemgetter(int(index)), last)

    def _handed_out(self, observation: Any) -> Any:
        return _mapped(_to_numpy if self.numpy else lambda tensor: tensor, observation)

    def _chosen(self, indices: int | Iterable[int] | None) -> Iterator[_One]:
        return (self._views[index] for index in self._get_indices(indices))


class _One:
    """One env of a vector env, as its attributes and methods show it."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], base: MeccaVectorEnv, index: int) -> None:
        self._envs, self._base, self._index = envs, base, index

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"no such attribute: {name}")
        if name in _OF_ALL:
            raise AttributeError(f"{name}() acts on all envs; call it on the VoxelVecEnv or on its `envs`")
        if name in _OF_ONE:
            method = getattr(self._base, name)
            return lambda *args, **keywords: method(self._index, *args, **keywords)
        if name == "render":
            return self._frame
        found = getattr(self._envs, name)
        return found[self._index] if name in _OF_EACH else found

    def _frame(self) -> NDArray[np.uint8] | None:
        frames = self._base.render()
        return None if frames is None else frames[self._index]


def check_envs(envs: Any) -> MeccaVectorEnv:
    """The vector env of this package under its wrappers, where Stable-Baselines3 can take it; see `VoxelVecEnv`."""
    base = getattr(envs, "unwrapped", envs)
    if not isinstance(base, MeccaVectorEnv):
        raise TypeError(f"envs: expected a vector env of mecca_env (gym.make_vec), got {type(base).__name__}")
    if base.config.guide:
        raise ValueError(
            "guide: expected an env without one, since Stable-Baselines3 takes no dict of actions, got guide=True; "
            "make it with guide=False"
        )
    if base.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise ValueError(
            f"autoreset_mode: expected 'SameStep', as Stable-Baselines3 resets, got {base.autoreset_mode.value!r}; "
            "make the env with autoreset_mode='SameStep'"
        )
    return base


def final_dice(envs: VecEnv, model: Any = None, seed: int = 0) -> float:
    """Mean Dice at the end of one episode in every env; of labelled cases, and NaN where there are none.

    Args:
        envs: A `VoxelVecEnv`, wrapped or not.
        model: Acts by its `predict`, deterministically; None: actions are drawn from the action space.
        seed: Of the envs and of the actions drawn.
    """
    envs.seed(seed)
    envs.action_space.seed(seed)
    observation, found = envs.reset(), dict[int, float]()
    while len(found) < envs.num_envs:
        if model is None:
            action = np.stack([envs.action_space.sample() for _ in range(envs.num_envs)])
        else:
            action, _ = model.predict(observation, deterministic=True)
        observation, _, done, infos = envs.step(action)
        for index in np.flatnonzero(done).tolist():
            found.setdefault(index, infos[index]["dice"])
    told = [dice for dice in found.values() if not np.isnan(dice)]
    return float(np.mean(told)) if told else float("nan")


def _case_of(options: dict[str, Any]) -> str | int | None:
    unknown = sorted(set(options) - {"case"})
    if unknown:
        raise ValueError(f"options: expected 'case' only, got {unknown}")
    case: str | int | None = options.get("case")
    return case


def _layers(envs: Any) -> Iterator[Any]:
    """An env and all that it wraps, from the outside."""
    yield envs
    while hasattr(envs, "env"):
        envs = envs.env
        yield envs


def _mapped(function: Callable[[Any], Any], observation: Any) -> Any:
    """A function of every array of an observation, which is one or a `dict` of them."""
    if isinstance(observation, dict):
        return {key: function(values) for key, values in observation.items()}
    return function(observation)


def _to_numpy(tensor: Tensor) -> NDArray[Any]:
    """A copy on the host."""
    return np.array(tensor.cpu().numpy())


def _numbers(info: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The entries of an info with one number for each env, (B,); fetched from a device all at once."""
    if not isinstance(info["dice"], Tensor):
        raise TypeError(f"envs: expected a vector env of tensors, got {type(info['dice'])}; leave out the conversion")
    chosen = {k: v for k, v in info.items() if isinstance(v, Tensor) and v.ndim == 1 and not k.startswith("_")}
    fetched = torch.stack([value.to(torch.float64) for value in chosen.values()]).cpu()
    return {key: row.to(value.dtype).numpy() for (key, value), row in zip(chosen.items(), fetched, strict=True)}


def _rows(numbers: dict[str, NDArray[Any]], count: int) -> list[dict[str, Any]]:
    """One `dict` of Python numbers for each env."""
    return [{key: value[index].item() for key, value in numbers.items()} for index in range(count)]
