"""The command mecca data check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from mecca_env.data.checking import Findings


@dataclass(frozen=True)
class Data:
    """Look at a data set: `mecca data check ROOT` lists every fault of a folder, with exit code 1 where there is one.

    Attributes:
        command: What to do.
        root: The folder; with --env by default the one that is looked for under $MECCA_DATA.
        env: Environment id, whose own label values and modalities are looked at, as a training with it would.
        label: Label values that are foreground, by default the data set's own, or all above 0; each looks around every
            one of them.
        modalities: Images read of a BraTS case; by default flair.
        tolerance: Millimetres that image and label may lie apart; by default next to nothing.
    """

    command: Positional[Literal["check"]]
    root: Annotated[Positional[Path | None], arg(metavar="[ROOT]", help_behavior_hint="")] = None
    env: Annotated[str | None, arg(metavar="ID", help_behavior_hint="")] = None
    label: Annotated[tuple[int, ...] | Literal["each"] | None, arg(metavar="each|N...", help_behavior_hint="")] = None
    modalities: Annotated[tuple[str, ...] | None, arg(metavar="NAME...", help_behavior_hint="")] = None
    tolerance: Annotated[float | None, arg(metavar="MM", help_behavior_hint="")] = None

    def run(self) -> int:
        """Do it; the exit code."""
        found = self._look()
        for line in (*found.faults, *(f"note: {note}" for note in found.notes)):
            print(line)
        print(_summary(found))
        return 1 if found.faults else 0

    def _look(self) -> Findings:
        from mecca_env import ENV_IDS
        from mecca_env.data.catalog import CATALOG
        from mecca_env.data.checking import look_at, look_at_dataset

        settings: dict[str, Any] = {"labels": self.label, "tolerance": self.tolerance}
        if self.env is not None:
            keys = {env: key for env, key in ENV_IDS.items() if key in CATALOG}
            if self.env not in keys:
                raise ValueError(f"env: expected one that reads files, {', '.join(keys)}, got {self.env!r}")
            return look_at_dataset(keys[self.env], self.root, modalities=self.modalities, **settings)
        if self.root is None:
            raise ValueError("data check: expected ROOT or --env ID, got neither")
        if self.modalities is not None:
            settings["modalities"] = self.modalities
        return look_at(self.root, **settings)


def _summary(found: Findings) -> str:
    """What was looked at, so that a case that is missing is missed."""
    count = len(found.faults)
    faults = f"{count or 'no'} fault{'' if count == 1 else 's'}"
    if found.layout is None:
        return f"{found.root}: {faults}"
    labels = "all above 0" if found.labels is None else "each" if found.labels == "each" else ""
    labels = labels or ", ".join(map(str, found.labels or ()))
    cases = f"{found.cases} case{'' if found.cases == 1 else 's'} in the layout {found.layout}"
    return f"{found.root}: {faults}; {cases}, modalities: {found.modalities}, foreground: {labels}"
