"""B episodes side by side: begun, stepped, begun anew, kept and restored. Knows nothing of Gymnasium.

Beside the state on the device stands what the host has to know of each episode: its random stream, the case and draws
it was made of, where its grid lies in the scan, how many steps it is old and whether it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mecca_env.data.grid.cutting import paste_back
from mecca_env.data.grid.placement import Placement
from mecca_env.episodes.handed_out import HandedOut, counted
from mecca_env.episodes.maker import EpisodeMaker
from mecca_env.episodes.snapshot import Origin, Snapshot, overlay, read_origins, take
from mecca_env.episodes.stream import EpisodeStream
from mecca_env.process.simulator import Simulator
from mecca_env.process.transitions import Transition
from mecca_env.state import State, replace_rows, take_rows
from mecca_env.tensors.transfer import to_device


class EpisodeBatch:
    """The episodes of B envs.

    Args:
        simulator: Its steps.
        maker: Cuts the episodes out of cases.
        num_envs: B.
        max_episode_steps: Steps after which an episode is over though it has not ended; None: no such limit.

    Attributes:
        simulator: As given.
        maker: As given.
        streams: The host's randomness of every env.
        over: Which episodes are over, (B,).
        steps_taken: Steps made since construction, over all envs.
    """

    def __init__(
        self, simulator: Simulator, maker: EpisodeMaker, num_envs: int, max_episode_steps: int | None = None
    ) -> None:
        self.simulator = simulator
        self.maker = maker
        self.streams = [EpisodeStream(None) for _ in range(num_envs)]
        self.over: NDArray[np.bool_] = np.zeros(num_envs, dtype=np.bool_)
        self.steps_taken = 0
        self._limit = max_episode_steps
        self._state: State | None = None
        self._handed_out: HandedOut | None = None
        self._placements: list[Placement] = []
        self._origins: list[Origin] = []
        self._steps: NDArray[np.int64] = np.zeros(num_envs, dtype=np.int64)

    def __len__(self) -> int:
        """B."""
        return len(self.streams)

    @property
    def begun(self) -> bool:
        """True if there are episodes, hence a state."""
        return self._state is not None

    @property
    def state(self) -> State:
        """The state of all episodes, once they have begun."""
        assert self._state is not None
        return self._state

    def begin(
        self,
        rows: NDArray[np.int64],
        cases: Sequence[int | None] | None = None,
        seeds: Sequence[int | None] | None = None,
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> None:
        """Begin new episodes.

        Args:
            rows: In which envs; all of them at first.
            cases: The case for every env, B of them, None where it is to be drawn; None: all are drawn.
            seeds: The seed for every env, B of them, None where its stream goes on; None: all go on.
            masks: What every env begins with, B of them, (X, Y, Z) on the scan's grid, None where the settings say it;
                None: they say it of all.

        Raises:
            RuntimeError: As `step`, where others go on.
            ValueError: A mask is not of its case. No stream has moved on then.
        """
        if len(rows) < len(self):
            self._refuse_writes()
        before = list(self.streams)
        for i in rows:
            if seeds is not None and (seed := seeds[i]) is not None:
                self.streams[i] = EpisodeStream(seed)
        none: list[Any] = [None] * len(self)
        with counted():
            self._begin(rows, none if cases is None else cases, none if masks is None else masks, before)
        self._steps[rows] = 0
        self.over[rows] = False
        self._look_ahead(rows)

    def step(self, action: Tensor, confidence: Tensor | None) -> tuple[Transition, Tensor]:
        """Take a step in every episode, as `Simulator.step`.

        Returns:
            What was earned, and which episodes have ended, (B,) bool on the device.

        Raises:
            RuntimeError: Somebody has written to what was handed out; the message names it.
        """
        self._refuse_writes()
        with counted():
            state, transition, terminated = self.simulator.step(self.state, action, confidence)
        self._hand_out(state)
        self._steps = self._steps + 1
        self.steps_taken += len(self)
        self.over = self._finished(terminated)
        return transition, terminated

    def step_some(
        self, action: Tensor, confidence: Tensor | None, acting: NDArray[np.bool_]
    ) -> tuple[Transition, Tensor]:
        """Take a step in the episodes marked in `acting` (B,); the others stay where they are and earn nothing.

        Returns and raises as `step`.
        """
        before, over, steps = self.state, self.over, self._steps
        transition, terminated = self.step(action, confidence)
        resting = np.flatnonzero(~acting)
        rows = torch.from_numpy(resting).to(self.simulator.device)
        with counted():
            self._hand_out(replace_rows(self.state, rows, take_rows(before, rows)))
        self.over, self._steps = np.where(acting, self.over, over), np.where(acting, self._steps, steps)
        self.steps_taken -= len(resting)
        terminated = terminated.index_copy(0, rows, self._ended(take_rows(before, rows)))
        return transition.without(rows, self.state.labelled), terminated

    def draw_from(self, generators: Sequence[np.random.Generator]) -> None:
        """Draw from these from the next episodes on, one for each env.

        Raises:
            ValueError: There are more or fewer.
            TypeError: One is none of NumPy's.
        """
        if len(generators) != len(self):
            raise ValueError(f"np_random: expected {len(self)} generators, got {len(generators)}")
        self.streams = [EpisodeStream.of(rng) for rng in generators]

    @property
    def truncated(self) -> Tensor:
        """Which episodes are as long as they may be, (B,) bool on the device; Gymnasium's `TimeLimit` asks no more."""
        device = self.simulator.device
        if self._limit is None:
            return torch.zeros(len(self), dtype=torch.bool, device=device)
        return to_device(torch.from_numpy(self._steps >= self._limit), device)

    def snapshot(self, identity: Mapping[str, Any]) -> Snapshot:
        """The episodes now, for `restore`; `identity` is the env's (`snapshot.identity`). Raises as `step` does."""
        self._refuse_writes()
        generators = [stream.rng.bit_generator.state for stream in self.streams]
        return take(identity, self.state, self.over, self._origins, generators, self.steps_taken)

    def restore(self, snapshot: Snapshot, identity: Mapping[str, Any]) -> None:
        """Go on from a snapshot. Raises `ValueError` for one of another env or a damaged one, and stays as it was."""
        origins, generators = read_origins(snapshot, identity)
        streams = [EpisodeStream.at(origin.stream) for origin in origins]
        made = self.maker.make_all(streams, [origin.case for origin in origins])
        with counted():
            state = overlay(self.simulator.begin([start for start, _ in made]), snapshot)
        for stream, generator in zip(streams, generators, strict=True):
            stream.rng.bit_generator.state = generator  # `np_random` is public: somebody may have drawn from it
        self.streams, self._origins = streams, origins
        self._hand_out(state)
        self._placements = [placement for _, placement in made]
        self.over = np.array(snapshot.tensors["over"].cpu().numpy())
        self._steps = np.array(state.step.cpu().numpy())
        self.steps_taken = int(snapshot.host["steps_taken"])
        self._look_ahead(range(len(self)))

    def supervoxels(self, rows: Sequence[int] | None) -> Tensor:
        """The supervoxels of the episodes of `rows`, None for all, at each of their steps, (R, T, D, H, W) int16."""
        chosen = list(range(len(self)) if rows is None else rows)
        state = self.state
        if state.regions is not None:
            return state.regions[chosen]
        made = (self.maker.regions(int(state.case_index[i]), self._placements[i]) for i in chosen)
        return torch.stack(list(made))

    def paste_back(self, index: int, grid: Tensor | None) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """The mask of `grid` (D, H, W), None for the probability of env `index`, on the scan's grid, and its affine."""
        case = self.maker.case(int(self.state.case_index[index]))
        values = (self.state.probability[index] if grid is None else grid).cpu()
        return paste_back(values, self._placements[index], case.scan_shape), case.affine

    def close(self) -> None:
        """Let go of the episodes and of the cases."""
        self.maker.close()
        self._state = self._handed_out = None

    def _begin(
        self,
        rows: NDArray[np.int64],
        cases: Sequence[int | None],
        masks: Sequence[NDArray[np.bool_] | None],
        before: list[EpisodeStream],
    ) -> None:
        origins = [Origin(self.streams[i].state(), cases[i]) for i in rows]
        try:
            made = self.maker.make_all(*([each[i] for i in rows] for each in (self.streams, cases, masks)))
        except ValueError:  # a mask that is of no use here, say
            for i, origin in zip(rows, origins, strict=True):
                self.streams[i] = before[i] if before[i] is not self.streams[i] else EpisodeStream.at(origin.stream)
            raise
        fresh = self.simulator.begin([start for start, _ in made])
        if self._state is None or len(rows) == len(self):
            self._hand_out(fresh)
            self._placements = [placement for _, placement in made]
            self._origins = origins
        else:
            self._hand_out(replace_rows(self._state, to_device(torch.from_numpy(rows), self.simulator.device), fresh))
            self._placements, self._origins = list(self._placements), list(self._origins)
            for i, (_, placement), origin in zip(rows, made, origins, strict=True):
                self._placements[i], self._origins[i] = placement, origin

    def _hand_out(self, state: State) -> None:
        """Stand in that state from now on."""
        self._state = state
        if self._handed_out is None:
            self._handed_out = HandedOut(state)
        else:
            self._handed_out.take(state)

    def _refuse_writes(self) -> None:
        if self._handed_out is not None:
            self._handed_out.check()

    def _look_ahead(self, rows: Iterable[int]) -> None:
        """Have their next cases fetched; a case that was asked for does not say which will be next."""
        drawn = {int(i): self._origins[i].case is None for i in rows}
        self.maker.look_ahead({i: self.streams[i] if known else None for i, known in drawn.items()})

    def _finished(self, terminated: Tensor) -> NDArray[np.bool_]:
        """The episodes that are over, found without looking at the device where their length alone decides."""
        config = self.simulator.config
        limit = config.horizon if self._limit is None else min(config.horizon, self._limit)
        if config.target_dice is None:
            return np.asarray(self._steps >= limit)
        return terminated.cpu().numpy() | (self._steps >= limit)  # new: `begin` writes to it

    def _ended(self, state: State) -> Tensor:
        """Which episodes have ended by themselves (`Loops.advance`), (B,) bool on the device."""
        config = self.simulator.config
        ended = state.step >= config.horizon
        if config.target_dice is None:
            return ended
        return ended | (state.labelled & (state.dice >= config.target_dice))
