"""Dice that weights have had on accepted cases, kept in a project, so that a learner plays only what is new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path

import torch

from mecca_agents.online.gate import USER_SEEDS
from mecca_agents.online.memory import of_project
from mecca_agents.runs.checkpoints import MODEL, read_undisturbed
from mecca_agents.runs.config import config_text, read_config
from mecca_agents.runs.provenance import versions
from mecca_agents.session.accepting import IMAGES, LABELS
from mecca_agents.training.loop import COMMIT
from mecca_env.atomic import write_text
from mecca_env.data.caching.disk import file_identity

MEASURED = "measured.json"
"""The file: Dice by the hash of all that it depends on."""

Play = Callable[[Path, Path, Sequence[str], torch.device], dict[str, float]]
"""Run, project, names of cases, device -> Dice by case, as `mecca_agents.online.gate.dice_of`."""


class Measured:
    """What is known of the Dice of weights on a project's cases; what this learning has not asked for is forgotten.

    Args:
        folder: Where the file is; one learner at a time is there.
        project: Folder of the cases.
        device: Where it is played.
        play: Plays what is not known.
    """

    def __init__(self, folder: Path, project: Path, device: torch.device, play: Play) -> None:
        self._path, self._project, self._device, self._play = folder / MEASURED, project, device, play
        self._known, self._asked = _read(self._path), dict[str, float]()

    def dice_of(self, run: Path, cases: Sequence[str]) -> dict[str, float]:
        """Dice of a run's last weights, by case."""
        keys = self._keys(run, cases)
        while new := [case for case in cases if keys[case] not in self._known]:
            played, begun = self._play(run, self._project, new, self._device), keys
            keys = self._keys(run, cases)  # another one where a mask was replaced while its case was played
            self._known |= {keys[case]: dice for case, dice in played.items() if keys[case] == begun[case]}
        self._asked |= {key: self._known[key] for key in keys.values()}
        with suppress(OSError):  # it is measured again then
            write_text(self._path, json.dumps(self._asked) + "\n")
        return {case: self._known[keys[case]] for case in cases}

    def _keys(self, run: Path, cases: Sequence[str]) -> dict[str, str]:
        """The hash of all that the Dice of each case depends on."""
        weights = read_undisturbed(run, "last", lambda folder: _digest((folder / MODEL).read_bytes()))
        config = config_text(of_project(read_config(run), self._project))
        how = [weights, config, versions(), COMMIT, USER_SEEDS, self._device.type]
        return {case: _digest(json.dumps([how, case, self._files(case)]).encode()) for case in cases}

    def _files(self, case: str) -> list[object]:
        """The scan's files, as they are told apart, and what is in the mask's."""
        scans, masks = (
            [path for path in sorted((self._project / folder).iterdir()) if path.name.startswith(f"{case}.")]
            for folder in (IMAGES, LABELS)
        )
        return [[file_identity(path) for path in scans], [_digest(path.read_bytes()) for path in masks]]


def _read(path: Path) -> dict[str, float]:
    """What the file says; nothing where it is missing or damaged."""
    try:
        found = {str(key): float(value) for key, value in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}
    return found if all(isfinite(value) and 0 <= value <= 1 for value in found.values()) else {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
