"""The command `mecca accept`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg


@dataclass(frozen=True)
class Accept:
    """Put a mask that was saved in any viewer into a project, with its scan and its log, for mecca learn.

    What of this scan and target was there is replaced.

    Attributes:
        project: The folder; made where it is missing.
        mask: The saved mask, a .nii, .nii.gz, .hdr, .mha or .nrrd file on the scan's grid.
        log: What was done, as mecca serve --logs and mecca annotate keep it; by default there is none.
        scan: The scan's own file; by default the one that the log names, beside it.
        target: What was segmented, in one word, where a project is about several things.
        label: Values of the mask that are the target; by default the only one above 0.
        link: Put a link to the scan's file there, in place of a copy.
        tolerance: Millimetres that the mask may lie apart from the scan; by default next to nothing.
    """

    project: Annotated[Positional[Path], arg(metavar="PROJECT")]
    mask: Annotated[Path, arg(metavar="MASK")]
    log: Annotated[Path | None, arg(metavar="LOG", help_behavior_hint="")] = None
    scan: Annotated[Path | None, arg(metavar="SCAN", help_behavior_hint="")] = None
    target: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    label: Annotated[tuple[int, ...] | None, arg(metavar="VALUE...", help_behavior_hint="")] = None
    link: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False
    tolerance: Annotated[float | None, arg(metavar="MM", help_behavior_hint="")] = None

    def run(self) -> int:
        """Do it and print what the case is called; the exit code."""
        from mecca_agents.session.saved import accept_saved

        name = accept_saved(
            self.project,
            self.mask,
            scan=self.scan,
            log=self.log,
            target=self.target,
            labels=self.label,
            link=self.link,
            tolerance=self.tolerance,
        )
        print(f"{self.project}: {name}")
        return 0
