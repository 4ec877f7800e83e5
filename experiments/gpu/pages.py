"""What a session on a GPU found, as text, and put into the pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import performance
from benchmarks.document import DOCS, write_document
from experiments.gpu import junit, surroundings, training
from mecca_agents.report.comparison import by_method, by_step
from mecca_agents.report.studies import Study, read_studies
from mecca_agents.tables import grid
from mecca_env.atomic import atomically

MARKS = ("<!-- on a GPU, written by experiments.gpu -->", "<!-- end of what was found on a GPU -->")
KEPT = DOCS / "gpu"
"""What is kept of the session beside the pages."""
PICTURE = DOCS / "images" / "gpu_training.png"
NOTHING = "Nothing has been measured on a GPU yet."


def tested(out: Path) -> str:
    """Of the tests: how many passed, and what failed."""
    files = sorted((out / "tests").glob("*.xml"))
    return junit.described(junit.summary(files)) if files else "No tests were run."


def measured(out: Path) -> str:
    """Of the parts of `benchmarks.performance` that were measured."""
    files = {name: out / "performance" / f"{name}.json" for name in performance.PARTS["cuda"]}
    found = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    return "\n\n".join(performance.table_of(name, result) for name, result in found.items())


def trained(out: Path) -> str:
    """Of the trainings that are finished: the Dice after each step, and what they took."""
    results = out / "results"
    studies = read_studies(results) if list(results.glob("*/results/*.json")) else []
    return "\n\n".join(_study(study) for study in studies)


def _study(study: Study) -> str:
    preset, rows = study.preset, []
    steps: list[str] = []
    for method, cells in by_method(study.cells).items():
        dice = by_step(cells)
        steps = [f"step {number}" for number in range(1, len(dice) + 1)]
        minutes = sum(cell.minutes for cell in cells) / len(cells)
        played = preset["num_envs"] * cells[0].updates
        rate = f"{played / 60 / minutes:.2f}" if minutes else ""
        rows.append(
            [method, str(len(cells)), *(f"{100 * value:.1f}" for value in dice), str(cells[0].updates)]
            + [f"{minutes:.1f}", rate]
        )
    head = ["method", "seeds", *steps, "updates", "minutes", "labelled episodes a second"]
    return (
        f"### {study.name}\n\n{' x '.join(map(str, preset['shape']))}, {preset['channels']} channels, "
        f"{preset['precision']}, {preset['num_envs']} episodes an update, learning rate {preset['learning_rate']:g}. "
        f"Mean Dice of the test cases in per cent.\n\n{grid(head, rows, padded=False)}"
    )


def summary(out: Path) -> str:
    """All of it, as far as it is there."""
    about = out / "surroundings.json"
    head = surroundings.described(json.loads(about.read_text())) if about.exists() else ""
    return "\n\n".join(text for text in (head, tested(out), measured(out), trained(out)) if text) + "\n"


def write(out: Path) -> None:
    """Keep the session's numbers beside the pages, and put its tables and its curves into them.

    Args:
        out: The session's folder.
    """
    keep(out, KEPT, performance.FOLDER)
    performance.write_page()
    head = surroundings.described(json.loads((KEPT / "surroundings.json").read_text()))
    write_document(f"{head}.\n\n{tested(out)}", performance.DOCUMENT, MARKS)
    cells = trained(KEPT) or NOTHING
    found: Mapping[str, Any] = json.loads((KEPT / "curves.json").read_text())
    if found:
        plot(found, PICTURE)
        cells += f"\n\n![Dice of the training against minutes](images/{PICTURE.name})"
    write_document(f"{head}.\n\n{cells}", DOCS / "results.md", MARKS)


def keep(out: Path, kept: Path, measurements: Path) -> None:
    """Copy what is small: numbers, no checkpoints, no logs.

    Args:
        out: The session's folder.
        kept: Folder for what is kept of tests and trainings.
        measurements: Folder for what `benchmarks.performance` measured.
    """
    for file in sorted((out / "performance").glob("*.json")):
        measurements.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, measurements / file.name)
    names = ("*/settings.json", "*/results/*.json", "*/results/*.csv")
    files = [file for name in names for file in sorted((out / "results").glob(name))]
    for file in (out / "surroundings.json", *files):
        target = kept / file.relative_to(out)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    tests = junit.summary(sorted((out / "tests").glob("*.xml")))
    (kept / "tests.json").write_text(json.dumps(tests, indent=1) + "\n")
    (kept / "curves.json").write_text(json.dumps(training.curves(out / "results")) + "\n")


def plot(curves: Mapping[str, Mapping[str, list[float]]], path: Path) -> None:
    """Dice after the last step on training cases against minutes, a panel for each data set."""
    from matplotlib.figure import Figure

    names = sorted({name.partition("/")[0] for name in curves})
    figure = Figure(figsize=(5 * len(names), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for cell, curve in curves.items():
            if cell.startswith(f"{name}/"):
                axes.plot([s / 60 for s in curve["seconds"]], curve["dice"], label=cell.partition("/")[2])
        axes.set_title(name)
        axes.set_xlabel("minutes")
        axes.set_ylabel("Dice on training cases")
        axes.set_ylim(0, 1)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
