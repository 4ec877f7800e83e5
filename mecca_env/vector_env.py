"""The one implementation of the Gymnasium API: B episodes in torch tensors on any device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from typing import Any, TypeAlias

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
    read_cache_bytes,
    read_count,
    read_device,
    read_limit,
    read_prefetch,
    read_render_mode,
    read_reset_options,
    read_seeds,
    read_settings,
    refuse_ended,
)
from mecca_env.data.base import VolumeSource
from mecca_env.data.drift import open_data
from mecca_env.data.targets import LabelChoice
from mecca_env.episodes.batch import EpisodeBatch
from mecca_env.episodes.maker import DEVICE_CACHE_BYTES, EpisodeMaker
from mecca_env.episodes.snapshot import Snapshot, identity
from mecca_env.infos import Info, copied, final_info, info_of
from mecca_env.process.simulator import Simulator
from mecca_env.process.transitions import Transition
from mecca_env.rendering import Scene, render_frame, scene_of
from mecca_env.state import State, observe
from mecca_env.window import Window, warn_of_no_mode

Observation: TypeAlias = dict[str, Tensor]
StepResult: TypeAlias = tuple[Observation, Tensor, Tensor, Tensor, Info]


class MeccaVectorEnv(VectorEnv[Observation, Any, Any]):
    """Interactive segmentation of `num_envs` volumes side by side, every voxel an agent.

    Observation: `dict` of float32 tensors on `device`: `volume` (B, D, H, W), z-scored, or (B, M, D, H, W) with M > 1
    modalities; `probability` (B, D, H, W) of foreground, a half at the start; `hint` (B, D, H, W) in [0, 1].

    Action: (B, D, H, W) of any integer dtype, torch or NumPy, each an index into `adjustments` (discrete), or floats
    in [-1, 1] (continuous). With `guide=True` a dict of `adjustment` (that) and `confidence` (B, D, H, W) in [0, 1].

    Reward: (B,) float32, the mean of `info["voxel_reward"]`.

    Termination: after `horizon` steps, or when a labelled episode reaches `target_dice`. Truncation: after
    `max_episode_steps`, where that is given.

    Info: batched tensors. Of the state that the observation shows: `case_index` (B,), `labelled` (B,), `step` (B,),
    `dice` (B,), `clicks` (B, K, 3), every click of the episode so far in order, padded with -1, `n_clicks` (B,), with a
    guide `advice` (B, D, H, W) bool, and of a stream `stream_index` and `segment` (B,). Of the transition, as the
    reward is: `voxel_reward` (B, D, H, W), `misunderstanding` and `misunderstanding_literal` (B,), zero after a reset.
    Of an unlabelled episode `dice` and the last two are NaN, rewards zero. Where episodes end and are reset in the same
    step, `final_obs` and `final_info` hold what ended, for the rows marked in `_final_obs` and `_final_info`.

    Randomness: env i depends on `seed + i` and its actions alone, on no other env and on no global generator.
    Observations and infos are not copied and never written to later; a write of yours is refused at the next step.

    Args:
        num_envs: B.
        dataset: Key of the data set (`mecca_env.data.catalog`, `mecca_env.data.built_in`), or any `VolumeSource`.
        root: Its folder; None looks under $MECCA_DATA.
        sources: Further data sets: each case is drawn from one of all, by weights (`mecca_env.data.mixture`). Each a
            mapping with `env`, an id, and where wanted others of `mecca_env.data.mixture.NAMES`, `weight` 1 if not.
            Of `MECCA-Stream-v0` they are the segments, one after another (`mecca_env.data.drift`), without weights.
        weight: How often the data set itself comes, beside `sources`.
        drift: What changes in a built-in stream: "organ" (None), "contrast" or "scanner".
        split: "train", "test" or "all".
        cases: Only these cases of the split: names, indices, or how many from its beginning.
        label: Label values that are foreground, None for the data set's own, or all above 0; or "each": every value
            above 0 of every scan is a case of its own (`mecca_env.data.files.FileSource`).
        modalities: Which images to stack, for layouts that hold several.
        prompts: A file of what people gave on some of the cases (`mecca_env.data.recorded`), to be given again.
        prompted: In so large a share of the episodes of those.
        device: Where all tensors live.
        autoreset_mode: A `gymnasium.vector.AutoresetMode` or its value.
        fallback: Without a root, use the phantom with one warning where the data set is missing; False: an error.
        skip_bad: Leave unusable cases out, with a warning, where otherwise construction fails.
        tolerance: Millimetres that image and label may lie apart; None: next to nothing (`mecca_env.data.world.grids`).
        device_cache_bytes: Prepared cases stay on `device`, in the smallest type that holds their intensities, until
            together they take more than this; then those not used for longest go. 0 keeps none. Besides, one fetched
            case an env may wait on the host. None: 1 GiB; but none of a source of your own on the CPU.
        prefetch: While an episode is played, fetch the next case of its env in a background thread. It pays where a
            case is not on the device. None: for the data sets of this package; True also asks a source of your own.
        max_episode_steps: Steps after which an episode is truncated, as `gym.make` takes it; None or -1: never.
        render_mode: None, "rgb_array" or "human".
        **settings: The attributes of `mecca_env.EnvConfig`.

    Attributes:
        config: Settings of the decision process.
        cases: Which cases of which data set are played.
        device: Where all tensors live.

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

    def __init__(
        self,
        num_envs: int = 1,
        dataset: str | VolumeSource = "Phantom",
        *,
        root: str | PathLike[str] | None = None,
        sources: Sequence[Mapping[str, Any]] = (),
        weight: float = 1.0,
        drift: str | None = None,
        split: str = "train",
        cases: int | Sequence[str | int] | None = None,
        label: LabelChoice = None,
        modalities: Sequence[str] | None = None,
        prompts: str | PathLike[str] | None = None,
        prompted: float = 1.0,
        device: str | torch.device = "cpu",
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        fallback: bool = True,
        skip_bad: bool = False,
        tolerance: float | None = None,
        device_cache_bytes: int | None = None,
        prefetch: bool | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.num_envs = read_count("num_envs", num_envs)
        self.autoreset_mode = read_autoreset_mode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = read_render_mode(render_mode)
        kept, prefetch = read_cache_bytes(device_cache_bytes), read_prefetch(prefetch)
        self._limit = read_limit(max_episode_steps)
        self.config = read_settings(settings)
        self.device = read_device(device)
        simulator = Simulator(self.config, self.device)  # before the data set: it refuses settings that do not fit
        self.cases = open_data(
            dataset,
            sources,
            weight,
            drift,
            root=root,
            split=split,
            cases=cases,
            label=label,
            modalities=modalities,
            prompts=prompts,
            prompted=prompted,
            fallback=fallback,
            skip_bad=skip_bad,
            tolerance=tolerance,
            **self.config.of_cases,
            device=self.device,
            memory_bytes=0,  # prepared cases are kept once, on the device
        )
        if kept is None:
            kept = DEVICE_CACHE_BYTES if isinstance(dataset, str) or self.device.type != "cpu" else 0
        maker = EpisodeMaker(self.cases, self.config, self.device, kept, prefetch)
        self._episodes = EpisodeBatch(simulator, maker, self.num_envs, self._limit)
        self._actions = ActionReader(self.config, self.num_envs, self.device)
        self.single_observation_space = observation_space(self.config, self.dataset.modalities)
        self.single_action_space = action_space(self.config)
        self._window = Window(fps=self.metadata["render_fps"])

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
        """The source of the cases; `dataset.name` says "phantom" where that stands in for something else."""
        return self.cases.source

    @property
    def state(self) -> State:
        """The state of all episodes. Raises `gymnasium.error.ResetNeeded` before the first reset."""
        return self._begun.state

    @property
    def steps_taken(self) -> int:
        """Steps made since construction, over all envs."""
        return self._episodes.steps_taken

    @property  # type: ignore[override]
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """The host generator of every env; one that is set is drawn from by the next reset."""
        return tuple(stream.rng for stream in self._episodes.streams)

    @np_random.setter  # type: ignore[override]
    def np_random(self, generators: Sequence[np.random.Generator]) -> None:
        self._episodes.draw_from(generators)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of every env, -1 where its generator was set."""
        return tuple(max(stream.seed, -1) for stream in self._episodes.streams)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin new episodes.

        Args:
            seed: s gives env i the seed s + i; a sequence gives each its own; None goes on with the present one.
            options: `reset_mask` (B,) bool resets only those envs; `cases` names the case of each env, by name or
                index, None where it is to be drawn; `masks` are what to go on from, each (X, Y, Z) on its scan's grid.

        Returns:
            Observation and info of all envs.

        Raises:
            ValueError: A seed, mask or case does not fit.
        """
        self._check_open()
        rows, wanted, masks = read_reset_options(options, self.num_envs)
        if not self._episodes.begun and len(rows) < self.num_envs:
            raise gym.error.ResetNeeded("the first reset must be of all envs")
        chosen = [self.cases.find(case) for case in wanted]
        self._begin(rows, chosen, read_seeds(seed, self.num_envs), masks)
        self._show()
        return self._observe(self.state), info_of(self.state, None)

    def step(self, actions: Any) -> StepResult:
        """Every voxel of every env acts.

        Args:
            actions: See the class. They are read, not kept.

        Returns:
            Observation, reward (B,) float32, terminated (B,) bool, truncated (B,) bool, info.

        Raises:
            ValueError: The shape or a value does not fit, NaN included.
            TypeError: The dtype does not fit.
            RuntimeError: An observation or info that was handed out has been written to; the message has its key.
            gymnasium.error.ResetNeeded: Before the first reset; with autoreset disabled, on an episode that is over.
        """
        episodes = self._begun
        action, confidence = self._actions.read(actions)
        ended = np.flatnonzero(episodes.over)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            refuse_ended(ended, self.num_envs)
        transition, terminated = episodes.step(action, confidence)
        if len(ended):  # next-step autoreset: these envs ignore the action and begin anew
            self._begin(ended)
            rows = torch.from_numpy(ended).to(self.device)
            transition = transition.without(rows, self.state.labelled)
            terminated = terminated.index_fill(0, rows, False)
        truncated, final = episodes.truncated, Info()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and len(ended := np.flatnonzero(episodes.over)):
            mask = torch.from_numpy(episodes.over.copy()).to(self.device)
            final = final_info(self._observe(self.state), info_of(self.state, transition), mask)
            self._begin(ended)
        return self._returned(transition, terminated, truncated, final)

    def step_some(self, actions: Any, acting: NDArray[np.bool_]) -> StepResult:
        """Only some of the envs act; the others stay where they are and earn nothing.

        For libraries that leave out the envs whose episodes are over. A method of its own, since `step` has Gymnasium's
        signature, which wrappers pass on, and envs that reset themselves have no use for it.

        Args:
            actions: Of all envs, as `step` takes them; those of envs that stay have no effect.
            acting: (B,) bool.

        Returns:
            As `step`; envs that stay are `terminated` when they were over before.

        Raises:
            ValueError, TypeError, RuntimeError: As `step`; or the envs reset themselves.
            gymnasium.error.ResetNeeded: Before the first reset; or an env that acts is over.
        """
        if self.autoreset_mode is not AutoresetMode.DISABLED:
            raise ValueError(
                f"autoreset_mode: expected 'Disabled' for steps of some envs, got {self.autoreset_mode.value!r}"
            )
        episodes = self._begun
        action, confidence = self._actions.read(actions)
        refuse_ended(np.flatnonzero(episodes.over & acting), self.num_envs)
        return self._returned(*episodes.step_some(action, confidence, acting), episodes.truncated, {})

    def snapshot(self) -> Snapshot:
        """The env at this moment, for `restore`: small, since scans and labels are made again and not stored.

        Raises `gymnasium.error.ResetNeeded` before the first reset.
        """
        return self._begun.snapshot(self._identity())

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
        self._episodes.restore(snapshot, self._identity())
        self._show()
        return self._observe(self.state), info_of(self.state, None)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One RGB frame for every env, (height, width, 3) uint8; None in "human" mode, which shows env 0 in a window.

        Without a render mode a warning and None, as of Gymnasium's own envs.
        """
        if self.render_mode is None:
            warn_of_no_mode(self.spec)
            return None
        if self.render_mode == "human":
            self._show()
            return None
        return tuple(render_frame(self.scene(i)) for i in range(self.num_envs))

    def scene(self, index: int) -> Scene:
        """The picture of env `index`, not yet drawn."""
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
        return self._begun.supervoxels(rows)

    def paste_back(self, index: int, grid: Tensor | None = None) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """A mask of env `index` on its scan's own grid.

        Args:
            index: Which env.
            grid: A probability or mask on the env's grid, (D, H, W); None takes the current probability.

        Returns:
            The mask, (X, Y, Z) bool, and the scan's affine, (4, 4), voxel index to millimetres.
        """
        return self._begun.paste_back(index, grid)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if any, and let go of the cases; `close` calls it once."""
        self._window.close()
        self._episodes.close()

    def _begin(self, rows: NDArray[np.int64], *chosen: Any) -> None:
        """Begin new episodes in those rows, once all actions so far are known to have been in range."""
        self._actions.refuse(wait=True)
        self._episodes.begin(rows, *chosen)

    def _returned(self, transition: Transition, terminated: Tensor, truncated: Tensor, final: Info) -> StepResult:
        """The result of a step, with the `final` entries of what was reset in it."""
        self._show()
        state = self.state
        observation, info = self._observe(state), info_of(state, transition)
        if final:  # TorchRL writes last observations over first ones, in place: not into the state
            observation, info = copied(observation), copied(info) | final
        return observation, transition.reward, terminated, truncated, info

    def _identity(self) -> dict[str, Any]:
        return identity(self.cases, self.config, self.num_envs, self.autoreset_mode, self._limit)

    def _observe(self, state: State) -> Observation:
        return observe(state)

    def _show(self) -> None:
        if self.render_mode == "human":
            self._window.show(render_frame(self.scene(0)))

    def _check_open(self) -> None:
        if self.closed:
            raise gym.error.ClosedEnvironmentError("this env has been closed; make a new one")

    @property
    def _begun(self) -> EpisodeBatch:
        self._check_open()
        if not self._episodes.begun:
            raise gym.error.ResetNeeded("call reset() before this: there is no episode yet")
        return self._episodes
