"""The one implementation of the Gymnasium API: B episodes in torch tensors on any device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from typing import Any, ClassVar, TypeAlias

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.actions import ActionReader, action_space, observation_space
from mecca_env.arguments import (
    read_autoreset_mode,
    read_bytes,
    read_config,
    read_count,
    read_device,
    read_mask,
    read_seeds,
)
from mecca_env.data.base import VolumeSource
from mecca_env.data.grid.cutting import paste_back
from mecca_env.data.grid.placement import Placement
from mecca_env.data.selection import open_cases
from mecca_env.episodes.maker import DEVICE_CACHE_BYTES, EpisodeMaker
from mecca_env.episodes.snapshot import Origin, Snapshot, identity, overlay, read_origins, take
from mecca_env.episodes.stream import EpisodeStream
from mecca_env.process.simulator import Simulator
from mecca_env.process.transitions import Transition
from mecca_env.rendering import Scene, render_frame, scene_of
from mecca_env.state import State, observe, replace_rows
from mecca_env.tensors.transfer import to_device
from mecca_env.window import Window

Observation: TypeAlias = dict[str, Tensor]
Info: TypeAlias = dict[str, Any]
StepResult: TypeAlias = tuple[Observation, Tensor, Tensor, Tensor, Info]


class MeccaVectorEnv(VectorEnv[Observation, Any, Any]):
    """Interactive segmentation of `num_envs` volumes side by side, every voxel an agent.

    Observation: `dict` of float32 tensors on `device`: `volume` (B, D, H, W), z-scored, or (B, M, D, H, W) with M > 1
    modalities; `probability` (B, D, H, W) of foreground, a half at the start; `hint` (B, D, H, W) in [0, 1].

    Action: (B, D, H, W) of any integer dtype, torch or NumPy, each an index into `adjustments` (discrete), or floats
    in [-1, 1] (continuous). With `guide=True` a dict of `adjustment` (that) and `confidence` (B, D, H, W) in [0, 1].

    Reward: (B,) float32, the mean of `info["voxel_reward"]`.

    Termination: after `horizon` steps, or when `target_dice` is reached. Never truncated.

    Info: batched tensors. Of the state that the observation shows: `case_index` (B,), `labelled` (B,), `step` (B,),
    `dice` (B,), `clicks` (B, K, 3), every click of the episode so far in order, padded with -1, `n_clicks` (B,), and
    with a guide `advice` (B, D, H, W) bool. Of the transition, as the reward is: `voxel_reward` (B, D, H, W),
    `misunderstanding` and `misunderstanding_literal` (B,), zero after a reset. Where episodes end and are reset in the
    same step, `final_obs` and `final_info` hold what ended, for the rows marked in `_final_obs` and `_final_info`.

    Randomness: env i depends on `seed + i` and its actions alone, on no other env and on no global generator.
    Observations and infos are never written to later; treat them as read-only, they are not copied.

    Args:
        num_envs: B.
        dataset: Key of the data set (`mecca_env.data.catalog`), or any `VolumeSource`.
        root: Its folder; None looks under $MECCA_DATA.
        split: "train", "test" or "all".
        cases: Only these cases of the split: names, indices, or how many from its beginning.
        label: Label values that are foreground; None takes the data set's own, or all above 0.
        modalities: Which images to stack, for layouts that hold several.
        device: Where all tensors live.
        autoreset_mode: A `gymnasium.vector.AutoresetMode` or its value.
        fallback: Without a root, use the phantom with one warning where the data set is missing; False: an error.
        skip_bad: Leave unusable cases out, with a warning, where otherwise construction fails.
        device_cache_bytes: Prepared cases stay on `device`, in the smallest type that holds their intensities, until
            together they take more than this; then the ones not used for longest go, and are read again from the disk
            cache (or drawn) when they come up. 0 keeps none. Besides, one fetched case an env may wait on the host.
            None: 1 GiB; but none of a source of your own on the CPU, which holds there what it wants to.
        prefetch: While an episode is played, fetch the next case of its env in a background thread; what is played
            is the same. It pays where a case is not on the device yet, or no longer: for phantoms, which take far
            longer to draw than to reset, and for large scans. Once all cases are there, nothing is fetched. None: for
            the data sets of this package; True also asks a source of your own from that other thread.
        render_mode: None, "rgb_array" or "human".
        **settings: The attributes of `mecca_env.EnvConfig`.

    Attributes:
        config: Settings of the decision process.
        cases: Which cases of which data set are played.
        device: Where all tensors live.
        steps_taken: Steps made since construction, over all envs.

    Raises:
        ValueError: An argument is out of range; the message names it, what was expected and what was given.
        TypeError: An argument is unknown or of the wrong type.
        mecca_env.data.base.DataError: The data set is missing or has unusable cases.
    """

    metadata: dict[str, Any] = {
        "render_modes": ["human", "rgb_array"],
        "render_fps": 2,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }
    _TRANSITION_KEYS: ClassVar[tuple[str, ...]] = ("voxel_reward", "misunderstanding", "misunderstanding_literal")

    def __init__(
        self,
        num_envs: int = 1,
        dataset: str | VolumeSource = "Phantom",
        *,
        root: str | PathLike[str] | None = None,
        split: str = "train",
        cases: int | Sequence[str | int] | None = None,
        label: int | Sequence[int] | None = None,
        modalities: Sequence[str] | None = None,
        device: str | torch.device = "cpu",
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        fallback: bool = True,
        skip_bad: bool = False,
        device_cache_bytes: int | None = None,
        prefetch: bool | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.num_envs = read_count("num_envs", num_envs)
        self.autoreset_mode = read_autoreset_mode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: expected None, 'human' or 'rgb_array', got {render_mode!r}")
        self.render_mode = render_mode
        cache_bytes = None if device_cache_bytes is None else read_bytes("device_cache_bytes", device_cache_bytes)
        if prefetch not in (None, True, False):
            raise ValueError(f"prefetch: expected None, True or False, got {prefetch!r}")
        self.config = read_config(settings)
        self.device = read_device(device)
        self._simulator = Simulator(self.config, self.device)
        self.cases = open_cases(
            dataset,
            root=root,
            split=split,
            cases=cases,
            label=label,
            modalities=modalities,
            fallback=fallback,
            skip_bad=skip_bad,
            config=self.config,
            device=self.device,
            memory_bytes=0,  # prepared cases are kept once, on the device
        )
        if cache_bytes is None:
            cache_bytes = DEVICE_CACHE_BYTES if isinstance(dataset, str) or self.device.type != "cpu" else 0
        self._episodes = EpisodeMaker(self.cases, self.config, self.device, cache_bytes, prefetch)
        self._actions = ActionReader(self.config, self.num_envs, self.device)
        self.single_observation_space = observation_space(self.config, self.dataset.modalities)
        self.single_action_space = action_space(self.config)
        self._streams = [EpisodeStream(None) for _ in range(self.num_envs)]
        self._placements: list[Placement] = []
        self._origins: list[Origin] = []
        self._state: State | None = None
        self._over = np.zeros(self.num_envs, dtype=np.bool_)
        self._steps = np.zeros(self.num_envs, dtype=np.int64)
        self.steps_taken = 0
        self._window: Window | None = None

    @cached_property
    def observation_space(self) -> gym.Space[Any]:  # type: ignore[override]
        """The batched observation space; made when asked for, since it takes 100 bytes for every voxel of the batch."""
        return batch_space(self.single_observation_space, self.num_envs)

    @cached_property
    def action_space(self) -> gym.Space[Any]:  # type: ignore[override]
        """The batched action space; made when asked for. Sampling it is slow: draw actions with torch."""
        return batch_space(self.single_action_space, self.num_envs)

    @property
    def dataset(self) -> VolumeSource:
        """Where the cases come from; `dataset.name` says "phantom" where that stands in for something else."""
        return self.cases.source

    @property
    def state(self) -> State:
        """The state of all episodes. Raises `gymnasium.error.ResetNeeded` before the first reset."""
        self._check_open()
        if self._state is None:
            raise gym.error.ResetNeeded("call reset() before this: there is no episode yet")
        return self._state

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The host generator of every env."""
        return tuple(stream.rng for stream in self._streams)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of every env."""
        return tuple(stream.seed for stream in self._streams)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin new episodes.

        Args:
            seed: s gives env i the seed s + i; a sequence gives each its own; None goes on with the present one.
            options: `reset_mask` (B,) bool resets only those envs; `cases` names the case of each env, by name or
                index, None where it is to be drawn.

        Returns:
            Observation and info of all envs.

        Raises:
            ValueError: A seed, mask or case does not fit.
        """
        self._check_open()
        options = dict(options or {})
        rows = read_mask(options.pop("reset_mask", None), self.num_envs)
        if self._state is None and len(rows) < self.num_envs:
            raise gym.error.ResetNeeded("the first reset must be of all envs")
        wanted = options.pop("cases", None)
        if options:
            raise ValueError(f"options: expected 'reset_mask' and 'cases' only, got {sorted(options)}")
        if wanted is None:
            wanted = [None] * self.num_envs
        if isinstance(wanted, str) or not isinstance(wanted, Sequence) or len(wanted) != self.num_envs:
            raise ValueError(f"options['cases']: expected {self.num_envs} cases, got {wanted!r}")
        chosen = [self.cases.find(case) for case in wanted]
        for i, number in enumerate(self._seeds(seed)):
            if number is not None and i in rows:
                self._streams[i] = EpisodeStream(number)
        self._begin(rows, chosen)
        self._show()
        return self._observe(self.state), self._info(self.state, None)

    def step(self, actions: Any) -> StepResult:
        """Every voxel of every env acts.

        Args:
            actions: See the class. They are read, not kept.

        Returns:
            Observation, reward (B,) float32, terminated (B,) bool, truncated (B,) bool (never set), info.

        Raises:
            ValueError: The shape or a value does not fit, NaN included.
            TypeError: The dtype does not fit.
            gymnasium.error.ResetNeeded: Before the first reset; with autoreset disabled, on an episode that is over.
        """
        state = self.state
        action, confidence = self._actions.read(actions)
        ended = np.flatnonzero(self._over)
        if len(ended) and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"the episodes of envs {ended.tolist()} are over: call reset(options={{'reset_mask': ...}}) first"
            )
        self._state, transition, terminated = self._simulator.step(state, action, confidence)
        self._steps += 1
        self.steps_taken += self.num_envs
        self._over = self._finished(terminated)
        final: Info = {}
        if len(ended):  # next-step autoreset: these envs ignore the action and begin anew
            self._begin(ended, [None] * self.num_envs)
            rows = torch.from_numpy(ended).to(self.device)
            transition, terminated = _without(transition, rows), terminated.index_fill(0, rows, False)
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._over.any():
            final = self._final(self.state, transition)
            self._begin(np.flatnonzero(self._over), [None] * self.num_envs)
        self._show()
        observation, info = self._observe(self.state), self._info(self.state, transition)
        if final:  # TorchRL writes last observations over first ones, in place: not into the state
            observation, info = _copied(observation), _copied(info) | final
        truncated = torch.zeros_like(terminated)
        return observation, transition.reward, terminated, truncated, info

    def snapshot(self) -> Snapshot:
        """The env at this moment, for `restore`: small, since scans and labels are made again and not stored.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        generators = [stream.rng.bit_generator.state for stream in self._streams]
        return take(self._identity(), self.state, self._over, self._origins, generators, self.steps_taken)

    def restore(self, snapshot: Snapshot) -> tuple[Observation, Info]:
        """Go on from a snapshot, bit for bit as the env that it was taken of, on any device.

        A user, hint or reward of one's own has to be a function of its arguments for that. An env whose snapshot is
        refused stays as it was.

        Args:
            snapshot: Of an env with the same cases, settings, `num_envs` and autoreset mode.

        Returns:
            The observation at that moment, and its info as after a reset: of no transition.

        Raises:
            ValueError: The snapshot is of another env, or damaged; the message says what differs.
        """
        self._check_open()
        origins, generators = read_origins(snapshot, self._identity())
        streams = [EpisodeStream.at(origin.stream) for origin in origins]
        made = self._episodes.make_all(streams, [origin.case for origin in origins])
        state = overlay(self._simulator.begin([episode for episode, _ in made]), snapshot)
        for stream, generator in zip(streams, generators, strict=True):
            stream.rng.bit_generator.state = generator  # `np_random` is public: somebody may have drawn from it
        self._streams, self._origins, self._state = streams, origins, state
        self._placements = [placement for _, placement in made]
        self._over = np.array(snapshot.tensors["over"].cpu().numpy())
        self._steps = np.array(state.step.cpu().numpy())
        self.steps_taken = int(snapshot.host["steps_taken"])
        self._look_ahead(range(self.num_envs))
        self._show()
        return self._observe(self.state), self._info(self.state, None)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One RGB frame for every env, (height, width, 3) uint8; None in "human" mode, which shows env 0 in a window.

        Raises:
            ValueError: The env was made without a render mode.
        """
        if self.render_mode is None:
            raise ValueError("render_mode: expected 'rgb_array' or 'human' when the env was made, got None")
        if self.render_mode == "human":
            self._show()
            return None
        return tuple(render_frame(self.scene(i)) for i in range(self.num_envs))

    def scene(self, index: int) -> Scene:
        """What there is to draw of env `index`."""
        return scene_of(self.state, index, self.config.horizon, self.dataset.name, self.case_name(index))

    def case_name(self, index: int) -> str:
        """Name of the case that env `index` shows."""
        return self.dataset.case_name(int(self.state.case_index[index]))

    def supervoxels(self, rows: Sequence[int] | None = None) -> Tensor:
        """The supervoxels of the present episodes at each of their steps (`EnvConfig.supervoxels`).

        Where neither guide nor hint needs them they are made at this call, or come from a cache.

        Args:
            rows: Of which envs, R of them; None: of all.

        Returns:
            Region numbers from 0, (R, T, D, H, W) int16.
        """
        chosen = list(range(self.num_envs) if rows is None else rows)
        state = self.state
        if state.regions is not None:
            return state.regions[chosen]
        made = (self._episodes.regions(int(state.case_index[i]), self._placements[i]) for i in chosen)
        return torch.stack(list(made))

    def paste_back(self, index: int, grid: Tensor | None = None) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """A mask of env `index` on its scan's own grid.

        Args:
            index: Which env.
            grid: A probability or mask on the env's grid, (D, H, W); None takes the current probability.

        Returns:
            The mask, (X, Y, Z) bool, and the scan's affine, (4, 4), voxel index to millimetres.
        """
        state = self.state
        case = self._episodes.case(int(state.case_index[index]))
        values = (state.probability[index] if grid is None else grid).cpu()
        return paste_back(values, self._placements[index], case.scan_shape), case.affine

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if any, and let go of the cases; `close` calls it once."""
        if self._window is not None:
            self._window.close()
        self._episodes.close()
        self._state = None

    def _begin(self, rows: NDArray[np.int64], chosen: Sequence[int | None]) -> None:
        """New episodes in those rows."""
        self._actions.refuse(wait=True)
        origins = [Origin(self._streams[i].state(), chosen[i]) for i in rows]
        made = self._episodes.make_all([self._streams[i] for i in rows], [chosen[i] for i in rows])
        fresh = self._simulator.begin([episode for episode, _ in made])
        if self._state is None or len(rows) == self.num_envs:
            self._state = fresh
            self._placements = [placement for _, placement in made]
            self._origins = origins
        else:
            self._state = replace_rows(self._state, to_device(torch.from_numpy(rows), self.device), fresh)
            self._placements, self._origins = list(self._placements), list(self._origins)
            for i, (_, placement), origin in zip(rows, made, origins, strict=True):
                self._placements[i], self._origins[i] = placement, origin
        self._steps[rows] = 0
        self._over[rows] = False
        self._look_ahead(rows)

    def _look_ahead(self, rows: Iterable[int]) -> None:
        """Have their next cases fetched; a case that was asked for does not say which will be next."""
        drawn = {int(i): self._origins[i].case is None for i in rows}
        self._episodes.look_ahead({i: self._streams[i] if known else None for i, known in drawn.items()})

    def _identity(self) -> dict[str, Any]:
        return identity(self.cases, self.config, self.num_envs, self.autoreset_mode)

    def _finished(self, terminated: Tensor) -> NDArray[np.bool_]:
        """Which episodes are over, without looking at the device where the horizon alone decides."""
        if self.config.target_dice is None:
            return np.asarray(self._steps >= self.config.horizon)
        return np.array(terminated.cpu().numpy())  # a copy: `_begin` writes to it

    def _final(self, state: State, transition: Transition) -> Info:
        mask = torch.from_numpy(self._over.copy()).to(self.device)
        return {
            "final_obs": self._observe(state),
            "_final_obs": mask,
            "final_info": self._info(state, transition),
            "_final_info": mask.clone(),
        }

    def _observe(self, state: State) -> Observation:
        return observe(state)

    def _info(self, state: State, transition: Transition | None) -> Info:
        info: Info = {
            "case_index": state.case_index,
            "labelled": state.labelled,
            "step": state.step,
            "dice": state.dice,
            "clicks": state.clicks,
            "n_clicks": state.n_clicks,
        }
        if state.advice is not None:
            info["advice"] = state.advice
        if transition is not None:
            return info | {key: getattr(transition, key) for key in self._TRANSITION_KEYS}
        nothing = {key: torch.zeros_like(state.dice) for key in self._TRANSITION_KEYS}
        return info | nothing | {"voxel_reward": torch.zeros_like(state.probability)}

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        return read_seeds(seed, self.num_envs)

    def _show(self) -> None:
        if self.render_mode == "human":
            if self._window is None:
                self._window = Window(fps=self.metadata["render_fps"])
            self._window.show(render_frame(self.scene(0)))

    def _check_open(self) -> None:
        if self.closed:
            raise gym.error.ClosedEnvironmentError("this env has been closed; make a new one")


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in tensors.items()}


def _without(transition: Transition, rows: Tensor) -> Transition:
    """The transition with nothing earned in those rows."""
    earned = ("reward", *MeccaVectorEnv._TRANSITION_KEYS)
    return replace(transition, **{name: getattr(transition, name).index_fill(0, rows, 0) for name in earned})
