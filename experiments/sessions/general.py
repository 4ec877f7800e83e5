"""What the run for any organ is worth to a person, on scans that it never saw: the tables of docs/general.md.

    python -m experiments.sessions.general --data /data                         # a quarter of an hour; writes the page
    python -m experiments.sessions.general --data /data --targets liver tumour --cases 4 --print

A simulated person works with `InteractiveSession`, on the scan's own grid: sets a box, or clicks into the middle of
the target, or loads a mask of Dice 0.8, and then clicks five times into the middle of the largest error. The floors get
the same prompts by `mecca_agents.evaluation`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.document import DOCS, write_document
from mecca_agents import PRESETS, Agent, RunConfig, evaluate_agent, load_agent, train
from mecca_agents.runs.envs import make_envs
from mecca_agents.session import InteractiveSession, Model, load_model
from mecca_agents.tables import grid
from mecca_env.data.base import Scan
from mecca_env.data.files import FileSource
from mecca_env.data.grid.cutting import bounding_box
from mecca_env.data.reading import read_scan
from mecca_env.episodes.damage import damaged
from mecca_env.prompts.components import deepest, largest_components

PAGE = DOCS / "general.md"
MARKS = ("<!-- tables, written by experiments.sessions.general -->", "<!-- end of tables -->")
CLICKS = 5
FLOORS = ("ellipsoid", "random-walker", "growcut")
Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """An organ of a data set.

    Attributes:
        name: For people.
        env: Environment id.
        folder: Of the data set.
        label: Foreground value; None: the data set's own.
        split: Which cases.
        chosen: Whether settings were chosen on it.
    """

    name: str
    env: str
    folder: str
    label: int | None = None
    split: str = "all"
    chosen: bool = False

    def scans(self, data: Path, most: int) -> Iterator[Scan]:
        """Its cases, one after another."""
        envs = make_envs(self.env, 1, root=data / self.folder, label=self.label, split=self.split, shape=(16, 16, 16))
        source = envs.dataset
        assert isinstance(source, FileSource)
        for index in envs.cases.indices[:most]:
            files, values = source.files(int(index)), source.foreground(int(index))
            yield read_scan(files, values, source.modalities)


TARGETS = (
    Target("hippocampus", "MECCA-Hippocampus-v0", "Task04_Hippocampus", split="test"),
    Target("left atrium", "MECCA-LeftAtrium-v0", "LeftAtrium2018", split="test", chosen=True),
    Target("liver", "MECCA-Liver-v0", "CHAOS_T2", 1, chosen=True),
    Target("right kidney", "MECCA-Liver-v0", "CHAOS_T2", 2),
    Target("left kidney", "MECCA-Liver-v0", "CHAOS_T2", 3, chosen=True),
    Target("spleen", "MECCA-Liver-v0", "CHAOS_T2", 4),
    Target("tumour", "MECCA-BraTS-v0", "BraTS", chosen=True),
)


@dataclass
class Played:
    """What a person reached on a scan.

    Attributes:
        dice: After each prediction, in per cent; of a mask that was loaded, its own first.
        obeyed: Whether each click was on the right side after its step.
        kept: Whether it still was at the end.
        seconds: Of each step.
    """

    dice: list[float] = field(default_factory=list)
    obeyed: list[bool] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Person:
    """Somebody who knows the label.

    Args:
        model: Who segments.
        scan: What; its label is the target.
        seed: Ties between voxels are drawn with it.
    """

    def __init__(self, model: Model, scan: Scan, seed: int) -> None:
        self.session, self.label, self.rng = InteractiveSession(model), scan.label, np.random.default_rng(seed)
        self.session.set_image(scan.image, scan.affine)
        self.played = Played()
        self._said: list[tuple[tuple[int, ...], bool]] = []
        self._new = False

    def box(self) -> None:
        """Draw the label's box, and let the agent act."""
        self.session.set_box(*bounding_box(self.label))
        self.step()

    def first_click(self) -> None:
        """Click into the middle of the target, and let the agent act."""
        self.click()
        self.step()

    def mask(self) -> None:
        """Load a mask of Dice 0.8 or so, and let the agent act."""
        low, high = bounding_box(self.label)
        reach = tuple(slice(max(a - 12, 0), b + 12) for a, b in zip(low, high, strict=True))
        masks = [damaged(self.label[reach], self.rng) for _ in range(24)]
        best = min(masks, key=lambda mask: abs(dice(mask, self.label[reach]) - 80))
        whole = np.zeros_like(self.label)
        whole[reach] = best
        self.session.set_mask(whole)
        self.played.dice.append(dice(whole, self.label))
        self.step()

    def click(self) -> None:
        """Click into the middle of the largest error, on its side, if there is one."""
        wrong = self.session.mask() != self.label
        part = next(largest_components(wrong, 1), None)
        if part is not None:
            ties = deepest(part.mask) + part.low
            voxel = tuple(int(v) for v in ties[self.rng.integers(len(ties))])
            self._said.append((voxel, bool(self.label[voxel])))
            self._new = True
            self.session.add_clicks(voxel, inside=bool(self.label[voxel]))

    def step(self) -> None:
        """Let the agent act, and note what that was worth."""
        begun = time.perf_counter()
        mask = self.session.step()
        self.played.seconds.append(time.perf_counter() - begun)
        self.played.dice.append(dice(mask, self.label))
        if self._new:
            voxel, side = self._said[-1]
            self.played.obeyed.append(bool(mask[voxel]) == side)
            self._new = False
        self.played.kept = [bool(mask[voxel]) == side for voxel, side in self._said]


WAYS: dict[str, Callable[[Person], None]] = {"box": Person.box, "first click": Person.first_click, "mask": Person.mask}
"""How a person begins."""


def dice(mask: Bits, label: Bits) -> float:
    """In per cent."""
    return 200 * float((mask & label).sum()) / float(mask.sum() + label.sum())


def play(model: Model, scan: Scan, way: str, seed: int) -> Played:
    """One scan: the beginning, then `CLICKS` clicks with a step after each."""
    person = Person(model, scan, seed)
    WAYS[way](person)
    for _ in range(CLICKS):
        person.click()
        person.step()
    return person.played


def by_prompts(played: dict[str, list[Played]], way: str) -> str:
    """Mean Dice after each prompt, a row for each target and one for the mean."""
    head = {"box": ["box alone"], "first click": ["first click"], "mask": ["the mask", "a step without prompts"]}[way]
    means = {name: np.mean([each.dice for each in of], axis=0) for name, of in played.items()}
    rows = [[_named(name), str(len(played[name])), *(f"{v:.1f}" for v in of)] for name, of in means.items()]
    if len(means) > 1:
        rows.append(["mean", "", *(f"{v:.1f}" for v in np.mean(list(means.values()), axis=0))])
    clicks = [f"+{number}" for number in range(1, CLICKS + 1)]
    return grid([f"scan Dice %, {way}", "scans", *head, *clicks], rows, padded=False)


def _named(name: str) -> str:
    return next((f"{name} *" for target in TARGETS if target.name == name and target.chosen), name)


def with_floors(data: Path, run: str, targets: list[Target], most: int) -> str:
    """Dice on the scan's grid under the evaluation's protocols, beside classical methods with the same prompts."""
    agent, config = load_agent(run)
    rows: dict[str, list[str]] = {"general": []} | {name: [] for name in FLOORS}
    for target in targets:
        where: dict[str, Any] = {"root": data / target.folder, "label": target.label}
        several = {"env": target.env, "split": target.split, **where}
        settings = {"protocol": "one-click"}
        found = {"general": scan_dice(agent, config, several, most, settings)}
        for name in FLOORS:
            with tempfile.TemporaryDirectory() as folder:
                small = PRESETS["general"].replace(updates=1, num_envs=1)
                floor = train(name, target.env, Path(folder) / "run", preset=small, settings=settings, **where)
                known = load_agent(Path(folder) / "run")[1]
                found[name] = scan_dice(floor, known, several, most, settings)
        for name, (first, last) in found.items():
            rows[name].append(f"{first:.1f} / {last:.1f}")
    head = ["box / five clicks, scan Dice %", *(target.name for target in targets)]
    return grid(head, [[name, *cells] for name, cells in rows.items()], padded=False)


def edge_clicks(data: Path, run: str, targets: list[Target], most: int) -> str:
    """The paper's 45 clicks, on the scan's grid."""
    agent, config = load_agent(run)
    values = []
    for target in targets:
        several = {"env": target.env, "split": target.split, "root": data / target.folder, "label": target.label}
        values.append(scan_dice(agent, config, several, most, {"protocol": "paper", "signed": True})[-1])
    head = ["the paper's 45 clicks", *(target.name for target in targets), "mean"]
    return grid(head, [["general", *(f"{value:.1f}" for value in [*values, np.mean(values)])]], padded=False)


def scan_dice(
    agent: Agent, config: RunConfig, where: dict[str, Any], most: int, settings: dict[str, Any]
) -> tuple[float, float]:
    """Mean Dice on the scan's grid after the first and the last prediction, in per cent."""
    known = {name: where[name] for name in ("root", "label", "split")}
    envs = make_envs(where["env"], 1, shape=(16, 16, 16), **known)
    names = [envs.dataset.case_name(int(index)) for index in envs.cases.indices[:most]]
    results = evaluate_agent(agent, config, cases=names, settings=settings, **where)
    last = max(result.step for result in results)
    first, end = (100 * float(np.mean([r.dice_scan for r in results if r.step == step])) for step in (1, last))
    return first, end


def notes(played: dict[str, dict[str, list[Played]]]) -> str:
    """Obedience and times, in a sentence each."""
    every = [each for of_way in played.values() for of in of_way.values() for each in of]
    obeyed, kept = ([value for each in every for value in getattr(each, name)] for name in ("obeyed", "kept"))
    seconds = [value for each in every for value in each.seconds]
    return (
        f"Clicks on the right side after their step: {100 * np.mean(obeyed):.1f} %, at the end: "
        f"{100 * np.mean(kept):.1f} % of {len(kept)}. A step takes {np.median(seconds):.2f} s "
        f"(median of {len(seconds)}, one thread)."
    )


def report(data: Path, run: str, targets: list[Target], most: int) -> str:
    """All tables, as Markdown."""
    model = load_model(run, device="cpu")
    played: dict[str, dict[str, list[Played]]] = {way: {} for way in WAYS}
    for target in targets:
        for number, scan in enumerate(target.scans(data, most)):
            for way in WAYS:
                played[way].setdefault(target.name, []).append(play(model, scan, way, number))
    parts = [by_prompts(of, way) for way, of in played.items()]
    return "\n\n".join(
        [*parts, edge_clicks(data, run, targets, most), with_floors(data, run, targets, most), notes(played)]
    )


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--run", default="general")
    parser.add_argument("--targets", nargs="+", choices=[target.name for target in TARGETS])
    parser.add_argument("--cases", type=int, default=20, help="of each target at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--print", action="store_true", help="only print the tables")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    targets = [target for target in TARGETS if target.name in (options.targets or [t.name for t in TARGETS])]
    text = report(options.data, options.run, targets, options.cases)
    print(text)
    if not options.print:
        write_document(text, PAGE, MARKS)


if __name__ == "__main__":
    main()
