"""The command `mecca learn`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

if TYPE_CHECKING:
    from mecca_agents.online import Learning, Verdict
    from mecca_agents.online.preferences import ChoiceLearning


@dataclass(frozen=True)
class Learn:
    """Go on with a run on the scans that people have accepted; the new weights count only where they do no worse.

    Attributes:
        project: The folder that accepted scans were put into; any with images/ and labels/ will do.
        out: The new run's folder, which must not be there yet.
        run_folder: The run to go on from, a folder or the name of one that comes with the package; by default the one
            that acts where none is named. It stays as it is.
        minutes: What learning may take.
        updates: So many updates, in place of minutes.
        preferences: Learn from choices between two proposals, in the place of masks.
        skip_bad: Leave cases that are at fault out, with a warning, rather than refuse to start.
        seed: Seed of the learning.
        device: auto, cpu or cuda.
        attended: For a program that starts this one: lines of JSON about the progress on standard output, and an end
            as soon as standard input is closed.
    """

    project: Annotated[Positional[Path], arg(metavar="PROJECT")]
    out: Annotated[Path, arg(metavar="RUN")]
    run_folder: Annotated[Path | None, arg(name="run", metavar="RUN", help_behavior_hint="")] = None
    minutes: float = 5.0
    updates: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    preferences: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    skip_bad: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    seed: int = 0
    device: str = "auto"
    attended: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False

    def run(self) -> int:
        """Do it and print a table; the exit code."""
        from mecca_agents.online import learn
        from mecca_agents.online.live.attended import attend
        from mecca_agents.online.preferences import learn_from_choices

        if self.attended and self.preferences:
            raise ValueError("--attended: expected a learning from accepted masks, got one from --preferences")
        where = (self.project, self.run_folder, self.out)
        how: dict[str, Any] = {
            name: getattr(self, name) for name in ("minutes", "updates", "skip_bad", "seed", "device")
        }
        if self.preferences:
            print(choices_table(learn_from_choices(*where, **how)))
        else:
            print(learning_table(learn(*where, **how, on_progress=attend() if self.attended else None)))
        return 0


def learning_table(found: Learning) -> str:
    """What came of a learning: Dice before and after, case by case, the verdict, and what is in the folder."""
    how = "each judged by weights that learned from the others" if found.leave_one_out else "kept out of the learning"
    first = f"{len(found.verdict.before)} cases, {how}, {found.updates} updates"
    lines = [first, _dice_table(found.verdict), found.verdict.why, found.note]
    return "\n".join([*filter(None, lines), _left(found.out, found.verdict.counts)])


def choices_table(found: ChoiceLearning) -> str:
    """What came of learning from choices: what reward models foresee, Dice of accepted masks, the verdict."""
    verdict, done = found.verdict, found.improvement
    first = f"{found.choices} choices, {0 if done is None else done.updates} updates"
    foreseen = f"reward models of other cases foresee {verdict.foreseen} of the choices"
    table = "" if verdict.dice is None else _dice_table(verdict.dice)
    lines = [first, "" if done is None else foreseen, table, verdict.why]
    return "\n".join([*filter(None, lines), _left(found.out, verdict.counts)])


def _dice_table(verdict: Verdict) -> str:
    from mecca_agents.tables import columns

    pairs = [(case, 100 * before, 100 * verdict.after[case]) for case, before in verdict.before.items()]
    rows = [[case, f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}"] for case, before, after in pairs]
    return columns(["case", "Dice % before", "after", "difference"], rows, left=1)


def _left(out: Path, counts: bool) -> str:
    return f"{out}: a run with the {'new' if counts else 'earlier'} weights"
