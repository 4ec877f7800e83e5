"""What choices between two proposals are worth: the table of docs/online.md.

    python -m experiments.preferences            # a quarter of an hour of one core; writes the page
    python -m experiments.preferences --choices 50 200 --tests 10 --print

A simulated person works with `InteractiveSession` on phantoms, of which the run for any organ never saw one, and takes
the proposal of higher Dice, but for a share of wrong choices. A reward model is fitted to the choices, and the run goes
on under it (`mecca_agents.online.preferences`). It is measured on other phantoms, whether the gate lets it pass or not.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.document import DOCS, write_document
from experiments.sessions.general import CLICKS, WAYS, Person, play
from mecca_agents.evaluation.statistics import case_interval
from mecca_agents.learning.network_agent import NetworkAgent
from mecca_agents.online.preferences import ChoiceVerdict, Share
from mecca_agents.online.preferences.choices import Choice, read_choices
from mecca_agents.online.preferences.choosers import DiceChooser
from mecca_agents.online.preferences.foresight import foreseen_across
from mecca_agents.online.preferences.improving import improve, leaning
from mecca_agents.online.preferences.learning import learner, parted
from mecca_agents.online.preferences.policies import teachable
from mecca_agents.online.preferences.reward import fit_reward, situations_of
from mecca_agents.online.project import kept_out
from mecca_agents.session import Model, SessionError, load_model
from mecca_agents.tables import grid
from mecca_env.data.base import Scan
from mecca_env.data.phantom import PhantomSource
from mecca_env.data.saving import save_scan

PAGE = DOCS / "online.md"
MARKS = ("<!-- choices, written by experiments.preferences -->", "<!-- end of choices -->")
CHOICES = (50, 100, 200)
WRONG = (0.1, 0.5)
BEGINNINGS = ("box", "first click")


class ChoosingPerson(Person):
    """Somebody who asks for two proposals before every step.

    Args:
        model: Who segments.
        scan: What.
        seed: Ties between voxels are drawn with it.
        chooser: Takes one of the two.
    """

    def __init__(self, model: Model, scan: Scan, seed: int, chooser: DiceChooser) -> None:
        super().__init__(model, scan, seed)
        self.chooser, self.choices = chooser, 0

    def step(self) -> None:
        """Take one of two proposals; where the agent is in no doubt, let it act."""
        try:
            masks = self.session.proposals()
        except SessionError:
            self.session.step()
        else:
            self.session.choose(self.chooser.choose(masks, self.label))
            self.choices += 1


def gather(model: Model, project: Path, most: int, chooser: DiceChooser) -> None:
    """Put the scans and the logs of so many choices, or a few more, into a project."""
    for folder in ("images", "logs"):
        (project / folder).mkdir(parents=True)
    made = 0
    for number in count():
        if made >= most:
            return
        scan = PhantomSource().scan(2 * number)  # even ones are for training
        person = ChoosingPerson(model, scan, number, chooser)
        with person.session as session:
            WAYS[BEGINNINGS[number % 2]](person)
            for _ in range(CLICKS):
                person.click()
                person.step()
            made += person.choices
            session.save_log(project / "logs" / f"phantom{number:03}.json")
        save_scan(scan.image[0], scan.affine, project / "images" / f"phantom{number:03}.nii.gz")


@dataclass(frozen=True)
class Outcome:
    """What came of some choices.

    Attributes:
        verdict: What the gate says, without accepted masks.
        agent: With the new weights, whatever it says.
    """

    verdict: ChoiceVerdict
    agent: NetworkAgent


def learned(model: Model, project: Path, choices: Sequence[Choice], seed: int) -> Outcome:
    """A reward model of choices, and the agent that went on under it."""
    fit, test = parted(project, choices, kept_out(sorted({choice.case for choice in choices})))
    before = teachable(model.agent)
    known, unknown = situations_of(before, fit), situations_of(before, test)
    reward, agent = fit_reward(known, seed), learner(model, seed)
    improve(agent, before, reward, known, seed)
    across = foreseen_across(situations_of(before, choices), [choice.case for choice in choices], seed)
    leans = Share(leaning(agent, before, unknown), len(test))
    return Outcome(ChoiceVerdict(across, leans, dice=None), agent)


def measured(model: Model, tests: int) -> NDArray[np.float64]:
    """Dice % on the scan's grid after each prediction, (tests, CLICKS + 1), on phantoms that nobody learned from."""
    scans = ((number, PhantomSource().scan(2 * number + 1)) for number in range(tests))
    return np.array([play(model, scan, BEGINNINGS[number % 2], number).dice for number, scan in scans])


def report(choices: Sequence[int], wrong: Sequence[float], tests: int, seed: int) -> str:
    """The table, as Markdown."""
    model = load_model("general", device="cpu")
    begun = measured(model, tests)
    rows = [["none", "", "", "", "", *_cells(begun), ""]]
    for share in wrong:
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder) / "project"
            gather(model, project, max(choices), DiceChooser(share, seed))
            every = read_choices(project, model)
        for number in choices:
            outcome = learned(model, project, every[:number], seed)
            found = measured(replace(model, agent=outcome.agent), tests)
            rows.append(_row(number, share, outcome.verdict, begun, found))
            print(rows[-1], flush=True)
    head = ["choices", "wrong", "foreseen from other cases", "new weights lean to what was taken, of those kept out"]
    head += ["the gate", "Dice %, first prediction", "after five clicks"]
    head += ["mean of all six, difference with 95 % interval"]
    return grid(head, rows, padded=False)


def _row(
    number: int, wrong: float, verdict: ChoiceVerdict, begun: NDArray[np.float64], found: NDArray[np.float64]
) -> list[str]:
    more = (found - begun).mean(axis=1)
    interval = case_interval(more)
    shown = "" if interval is None else f" ({interval[0]:+.2f} to {interval[1]:+.2f})"
    word = "passes" if verdict.counts else "stays"
    what = f"{100 * wrong:.0f} %" if wrong != 0.5 else "50 %: random"
    leans = "" if verdict.leaning is None else f"{verdict.leaning.right} of {verdict.leaning.total}"
    return [str(number), what, str(verdict.foreseen), leans, word, *_cells(found), f"{more.mean():+.2f}{shown}"]


def _cells(dice: NDArray[np.float64]) -> list[str]:
    return [f"{dice[:, place].mean():.1f}" for place in (0, -1)]


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choices", type=int, nargs="+", default=list(CHOICES))
    parser.add_argument("--wrong", type=float, nargs="+", default=list(WRONG), help="shares of wrong choices")
    parser.add_argument("--tests", type=int, default=40, help="phantoms to measure on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--print", action="store_true", help="only print the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = report(options.choices, options.wrong, options.tests, options.seed)
    print(text)
    if not options.print:
        write_document(text, PAGE, MARKS)


if __name__ == "__main__":
    main()
