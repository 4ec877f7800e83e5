"""Going on with a run on choices between two proposals; the result counts only through a gate, as all learning does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf, isfinite
from pathlib import Path
from typing import Any, TextIO

from safetensors import SafetensorError
from safetensors.torch import save_file
from tqdm import tqdm

from mecca_agents.agent import make_agent
from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.online.enough import FEWEST_TO_JUDGE, FEWEST_TO_LEARN, parts
from mecca_agents.online.gate import dice_of, judge
from mecca_agents.online.learning import FOLDER, stopped_in_words, working_in
from mecca_agents.online.preferences.choices import Choice, read_choices
from mecca_agents.online.preferences.foresight import FOLDS, foreseen_across
from mecca_agents.online.preferences.improving import HOLD, UPDATES, Improvement, improve, leaning
from mecca_agents.online.preferences.policies import teachable
from mecca_agents.online.preferences.reward import fit_reward, situations_of
from mecca_agents.online.preferences.verdicts import ChoiceVerdict, Share
from mecca_agents.online.project import FEWEST_KEPT_OUT, ProjectError, drawn, kept_out, read_project
from mecca_agents.online.record import beginning_of, cases_of, publish
from mecca_agents.presets import find_preset
from mecca_agents.runs.checkpoints import MODEL, checkpoint_folder
from mecca_agents.runs.config import write_config
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.folder import check_folder
from mecca_agents.runs.shipped import find_run
from mecca_agents.runtime.stopping import Stopped, StopRequest
from mecca_agents.session import Model, load_model
from mecca_agents.session.accepting import LABELS
from mecca_env.atomic import os_errors_as

STEPS = ("learning_rate", "final_learning_rate")
"""What is taken of the preset `online`; everything else is the run's own."""

FITTING = 0.75
"""Share of the minutes that all reward models may take; the policy has the rest, and what they leave."""


@dataclass(frozen=True)
class ChoiceLearning:
    """What came of it.

    Attributes:
        out: The run's folder: with the new weights, or the earlier ones.
        verdict: Whether the new ones count, and why.
        choices: How many were learned from.
        learned: Cases that the weights in `out` have learned from, earlier learnings included.
        kept_out: Cases that none may learn from.
        improvement: Of the policy; None where the choices cannot be foreseen.
    """

    out: Path
    verdict: ChoiceVerdict
    choices: int
    learned: tuple[str, ...]
    kept_out: tuple[str, ...]
    improvement: Improvement | None


def learn_from_choices(
    project: Path | str,
    run: Path | str | None,
    out: Path | str,
    *,
    minutes: float = 5.0,
    updates: int | None = None,
    hold: float = HOLD,
    skip_bad: bool = False,
    seed: int = 0,
    device: str = "auto",
    stream: TextIO | None = None,
) -> ChoiceLearning:
    """Fit a reward model to the choices in a project's logs, and go on with a run under it, held near what it was.

    Cases are kept out as in `mecca_agents.online.learn`. Where they have fewer than `FEWEST_TO_JUDGE` choices, one
    choice of four is kept out in their place. The new weights count where reward models that are fitted to other cases
    foresee all choices better than chance and the gate of Dice lets them pass on accepted masks of the cases kept out;
    with fewer than two such masks, where they lean to what was taken in more than half of the choices kept out.

    `out` appears complete or not at all. Killed at any time, nothing of it is there, and the run is as it was.

    Args:
        project: Folder of the cases; scans and logs are needed, accepted masks are not.
        run: Folder of the run, or the name of one that comes with the package; None: the one that acts where none is
            named. It is not changed.
        out: Folder of the new run, which must not be there yet.
        minutes: What reward models and policy may take together; looking at choices and cases comes on top.
        updates: So many of the policy, in place of minutes; None: `UPDATES`, as far as the minutes go.
        hold: Weight of the divergence from the run as it was.
        skip_bad: Leave logs and cases that are at fault out, with a warning, rather than refuse.
        seed: Of all that is drawn.
        device: "auto", "cpu" or "cuda".
        stream: Where progress is shown; None takes standard error.

    Raises:
        ValueError: An argument is out of range.
        ProjectError: The project cannot be used or has too few choices, or the method has no policy of voxels.
        mecca_env.data.base.DataError: A scan or a mask cannot be used.
        mecca_agents.runs.RunError: The run cannot be used, `out` is there or cannot be written, or another process
            learns from this project.
        FloatingPointError: A loss became NaN or infinite.
        mecca_agents.runtime.stopping.Stopped: Ctrl-C or SIGTERM came; a `KeyboardInterrupt`.
    """
    for name, value in (("minutes", minutes), ("hold", hold)):
        if not (isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a number above 0, got {value!r}")
    project, out, begun = Path(project), Path(out), find_run(run)
    check_folder(out, overwrite=False)
    model = load_model(begun, device=device)
    before = teachable(model.agent)
    choices = read_choices(project, model, skip_bad=skip_bad)
    masks = [case.name for case in read_project(project, skip_bad=skip_bad)] if (project / LABELS).is_dir() else []
    earlier, before_held = cases_of(begun)
    held = kept_out(sorted({*masks, *(choice.case for choice in choices)}), earlier, before_held)
    fit, test = parted(project, choices, held)
    with working_in(project / FOLDER) as work, stopped_in_words():
        limit = inf if updates is not None else 60 * minutes
        end, each = time.monotonic() + limit, FITTING * limit / (FOLDS + 1)
        fitting = partial(_watched, each, "reward model", None, stream)
        cases = [choice.case for choice in choices]
        verdict = ChoiceVerdict(foreseen_across(situations_of(before, choices), cases, seed, fitting), None, None)
        improvement = None
        if verdict.foreseen.above_chance:
            agent, known = learner(model, seed), situations_of(before, fit)
            with fitting() as over:
                reward = fit_reward(known, seed, over)
            planned = UPDATES if updates is None else updates
            with _watched(end - time.monotonic(), "policy", planned, stream) as over:
                improvement = improve(agent, before, reward, known, seed, updates=planned, hold=hold, over=over)
            _write(work / "all", agent, model, begun)
            judged = sorted(set(held) & set(masks))
            leans = Share(leaning(agent, before, situations_of(before, test)), len(test))
            dice = None
            if len(judged) >= FEWEST_KEPT_OUT:
                old, new = (dice_of(folder, project, judged, model.device) for folder in (begun, work / "all"))
                dice = judge(old, new)
            verdict = replace(verdict, leaning=leans, dice=dice)
        found = ChoiceLearning(
            out=out,
            verdict=verdict,
            choices=len(fit),
            learned=tuple(sorted({*earlier, *(choice.case for choice in fit)} if verdict.counts else earlier)),
            kept_out=tuple(sorted({*held, *before_held})),
            improvement=improvement,
        )
        publish(work / "all" if verdict.counts else begun, out, _record(found, begun, project))
    return found


def parted(project: Path, choices: Sequence[Choice], held: Sequence[str]) -> tuple[list[Choice], list[Choice]]:
    """The choices to learn from, and those to judge by. Raises `ProjectError` where either are too few."""
    fit = [choice for choice in choices if choice.case not in held]
    test = [choice for choice in choices if choice.case in held]
    found = parts(len(fit), len(test))
    if found.learn < len(fit):
        order = sorted(range(len(fit)), key=lambda place: drawn(f"{fit[place].case}:{place}"))
        apart = set(order[: len(fit) - found.learn])
        test += [choice for place, choice in enumerate(fit) if place in apart]
        fit = [choice for place, choice in enumerate(fit) if place not in apart]
    if not found.enough:
        raise ProjectError(
            f"{project}: expected at least {FEWEST_TO_LEARN} choices to learn from and {FEWEST_TO_JUDGE} to judge by, "
            f"found {len(fit)} and {len(test)}"
        )
    return fit, test


def learner(model: Model, seed: int) -> NetworkAgent:
    """The same method with the same weights, and the steps of the preset `online`."""
    steps = find_preset("online").flat()
    preset = model.run.preset.replace(**{name: steps[name] for name in STEPS})
    agent = teachable(make_agent(model.method, preset, teachable(model.agent).task, device=model.device, seed=seed))
    agent.load_weights(model.agent.weights())
    return agent


@contextmanager
def _watched(seconds: float, what: str, total: int | None, stream: TextIO | None) -> Iterator[Callable[[], bool]]:
    """A function to ask whether the time is over, which shows progress; stopped by a signal, it raises `Stopped`."""
    end = time.monotonic() + seconds
    with StopRequest() as request, tqdm(total=total, desc=what, file=stream, disable=None) as bar:

        def over() -> bool:
            if request.signal:
                raise Stopped("stopped", request.signal)
            bar.update()
            return time.monotonic() > end

        yield over


def _write(folder: Path, agent: NetworkAgent, model: Model, begun: Path) -> None:
    """A run's folder with these weights; no training can be resumed in it, but another can begin from it."""
    with os_errors_as(lambda reason: RunError(f"{folder}: cannot be written: {reason}")):
        last = checkpoint_folder(folder)
        last.mkdir(parents=True)
        weights = {key: value.to("cpu", copy=True).contiguous() for key, value in agent.weights().items()}
        try:
            save_file(weights, last / MODEL)
        except SafetensorError as error:
            raise RunError(f"{last / MODEL}: cannot be written: {error}") from error
    write_config(folder, replace(model.run, begun_from=str(begun)))


def _record(found: ChoiceLearning, begun: Path, project: Path) -> dict[str, Any]:
    """What the folder says of itself."""
    base = beginning_of(begun)
    return {
        "weights": "new" if found.verdict.counts else "earlier",
        "why": found.verdict.why,
        "run": str(begun.resolve()),
        "project": str(project.resolve()),
        "learned": found.learned,
        "kept_out": found.kept_out,
        "choices": found.choices,
        **asdict(found.verdict),
        "improvement": found.improvement and asdict(found.improvement),
        "base": None if found.verdict.counts or base == begun else str(base.resolve()),
    }
