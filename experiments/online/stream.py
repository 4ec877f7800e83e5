"""One stream: a person works through the cases, accepts each, and the agent learns from it before the next.

Everything is kept case by case in the trial's folder, so a command that was stopped goes on with the case it was at:

    case_007.json     what was reached on the case before it was learned from, and what came of learning from it
    run_007/          the run that meets the next case; those before the last two are deleted
    project/          what was accepted, as `mecca learn` takes it
    clean_040.json    Dice on cases of each organ that are no part of the stream, after so many cases
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from mecca_agents import evaluate_agent, load_agent
from mecca_agents.online import learn
from mecca_agents.online.learning import FEWEST
from mecca_agents.runs.envs import make_envs
from mecca_agents.session import InteractiveSession, load_model
from mecca_env.atomic import write_text
from mecca_env.data.files import FileSource
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.reading import read_scan

PROTOCOLS: dict[str, dict[str, Any]] = {
    "one-click": {"protocol": "one-click"},
    "paper": {"protocol": "paper", "signed": True},
}
"""How the simulated person prompts: a box and five single clicks, or 25 and four times 5 edge clicks, with signs."""

CLEAN_EVERY = 10
"""After so many cases the clean ones are played, besides after the last of each organ."""

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Organ:
    """A data set that a part of the stream is of.

    Attributes:
        name: In one word, as a person would name the target.
        env: Environment id.
        folder: Of the data set, below that of all.
    """

    name: str
    env: str
    folder: str

    def cases(self, data: Path, split: str) -> list[str]:
        """The names of a split's cases, ascending."""
        source = self.source(data, split)
        return [source.case_name(index) for index in range(len(source))]

    def source(self, data: Path, split: str) -> FileSource:
        """A split of the data set."""
        source = make_envs(self.env, 1, root=data / self.folder, split=split, shape=(16, 16, 16)).dataset
        assert isinstance(source, FileSource)
        return source


ORGANS = (
    Organ("hippocampus", "MECCA-Hippocampus-v0", "Task04_Hippocampus"),
    Organ("atrium", "MECCA-LeftAtrium-v0", "LeftAtrium2018"),
)
"""In the order in which they come."""


@dataclass(frozen=True)
class Trial:
    """One stream.

    Attributes:
        data: Folder of the data sets.
        out: Folder of all trials.
        protocol: A key of `PROTOCOLS`.
        order: Which cases of the training splits, and in which order; also the seed of users and learnings.
        counts: Cases of each of `ORGANS`.
        updates: What learning makes after each case; in place of seconds, so that a busy machine learns the same.
        clean: Test cases of each organ that are played apart from the stream.
        wrong: Share of the accepted masks that are wrong on purpose.
        wrong_way: How, a key of `WRONG`.
        run: Whose weights it begins with, which are also what never learns.
        organs: In place of `ORGANS`.
    """

    data: Path
    out: Path
    protocol: str
    order: int
    counts: tuple[int, ...] = (40, 16)
    updates: int = 24
    clean: int = 16
    wrong: float = 0.0
    wrong_way: str = "moved"
    run: str = "general"
    organs: tuple[Organ, ...] = ORGANS

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        wrong = f"-{self.wrong_way}{self.wrong:g}" if self.wrong else ""
        return self.out / f"{self.protocol}-order{self.order}{wrong}"

    def cases(self) -> list[tuple[Organ, str]]:
        """The stream: of every organ other cases in another order for each `order`."""
        found = []
        for number, (organ, count) in enumerate(zip(self.organs, self.counts, strict=True)):
            names = organ.cases(self.data, "train")
            if len(names) < count:
                raise SystemExit(f"{organ.folder}: expected {count} training cases, found {len(names)}")
            drawn = np.random.default_rng([self.order, number]).permutation(names)[:count]
            found += [(organ, str(name)) for name in drawn]
        return found

    def wrong_ones(self) -> set[int]:
        """Numbers of the cases, from 1, that are accepted with a wrong mask."""
        total = sum(self.counts)
        shuffled = np.random.default_rng([self.order, 99]).permutation(total)
        return {int(number) + 1 for number in shuffled[: round(self.wrong * total)]}

    def go(self) -> None:
        """Play what is left of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ends = set(np.cumsum(self.counts).tolist())
        for number, (organ, case) in enumerate(self.cases(), 1):
            path = self.folder / f"case_{number:03}.json"
            if not path.exists():
                write_text(path, json.dumps(self._meet(number, organ, case), indent=1))
            if number in ends or number % CLEAN_EVERY == 0:
                self._play_clean(number)

    def _meet(self, number: int, organ: Organ, case: str) -> dict[str, Any]:
        """Play a case, accept it, and learn from it."""
        present = self._present(number - 1)
        learned = self._played(present, organ, "train", [case])[0]
        never = learned if present == self.run else self._played(self.run, organ, "train", [case])[0]
        self._accept(number, organ, case)
        begun = time.perf_counter()
        told = self._learn(number, present)
        told["all_seconds"] = round(time.perf_counter() - begun, 2)
        print(f"{self.folder.name} {number:3} {organ.name} {case}: {told}", flush=True)
        return {"organ": organ.name, "case": case, "learned": learned, "never": never, "learning": told}

    def _learn(self, number: int, present: str) -> dict[str, Any]:
        out = self._run(number)
        shutil.rmtree(out, ignore_errors=True)  # of one who was stopped before the case was written down
        if number < FEWEST:
            return {"counts": False, "why": "too few cases"}
        found = learn(
            self.folder / "project",
            present,
            out,
            updates=self.updates,
            seed=self.order * 1000 + number,
            device="cpu",
        )
        for old in sorted(self.folder.glob("run_*"))[:-2]:
            shutil.rmtree(old)
        difference = round(found.verdict.difference, 4)
        return {"counts": found.verdict.counts, "difference": difference, "updates": found.updates}

    def _present(self, number: int) -> str:
        """The run after so many cases."""
        return str(self._run(number)) if self._run(number).exists() else self.run

    def _run(self, number: int) -> Path:
        return self.folder / f"run_{number:03}"

    def _played(self, run: str, organ: Organ, split: str, cases: list[str]) -> list[dict[str, list[float]]]:
        """Dice on the scan's own grid and clicks after each step, of each case."""
        agent, config = load_agent(run)
        where: dict[str, Any] = {"env": organ.env, "root": self.data / organ.folder, "split": split}
        settings = PROTOCOLS[self.protocol]
        results = evaluate_agent(agent, config, cases=cases, settings=settings, seed=self.order, **where)
        by_case: dict[str, dict[str, list[float]]] = {case: {"dice": [], "clicks": []} for case in cases}
        for result in results:
            by_case[result.case]["dice"].append(round(result.dice_scan, 4))
            by_case[result.case]["clicks"].append(result.clicks)
        return list(by_case.values())

    def _accept(self, number: int, organ: Organ, case: str) -> None:
        """Accept the label: a person accepts a mask once it is right, so where the agent failed it was corrected."""
        source = organ.source(self.data, "train")
        index = next(index for index in range(len(source)) if source.case_name(index) == case)
        files = source.files(index)
        label = read_scan(files, source.foreground(index), source.modalities).label
        mask = label if number not in self.wrong_ones() else self._spoilt(label, number)
        with InteractiveSession(load_model(self.run, device="cpu")) as session:
            session.set_image(files.images[0])
            session.set_mask(mask)
            session.accept(self.folder / "project", target=organ.name, link=True)

    def _spoilt(self, label: Bits, number: int) -> Bits:
        return WRONG[self.wrong_way](label, np.random.default_rng([self.order, number]))

    def _play_clean(self, number: int) -> None:
        """Play cases of the test splits after so many of the stream; the first ones also as who never learns."""
        for name, run in (("clean_000", self.run), (f"clean_{number:03}", self._present(number))):
            path = self.folder / f"{name}.json"
            if not path.exists():
                found = {}
                for organ in self.organs:
                    played = self._played(run, organ, "test", organ.cases(self.data, "test")[: self.clean])
                    found[organ.name] = [each["dice"][-1] for each in played]
                write_text(path, json.dumps(found))


def moved(label: Bits, rng: np.random.Generator) -> Bits:
    """The label, moved by half its length along an axis; what leaves the scan comes in on the other side.

    Args:
        label: (X, Y, Z).
        rng: Draws the axis.
    """
    low, high = bounding_box(label)
    axis = int(rng.integers(3))
    return np.roll(label, (high[axis] - low[axis] + 1) // 2, axis)


def grown(label: Bits, rng: np.random.Generator) -> Bits:
    """The label, grown to every side by an eighth of its mean length, a voxel at least: always too large.

    Args:
        label: (X, Y, Z).
        rng: Draws nothing.
    """
    low, high = bounding_box(label)
    sides = [b - a for a, b in zip(low, high, strict=True)]
    return np.asarray(binary_dilation(label, iterations=max(round(sum(sides) / 24), 1)))


WRONG: dict[str, Callable[[Bits, np.random.Generator], Bits]] = {"moved": moved, "grown": grown}
"""Ways for a mask to be wrong on purpose: at random, and always in the same way, which is the worse."""
