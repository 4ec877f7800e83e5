"""Choices between two proposals, read from the logs of a project as an agent sees them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mecca_agents.online.project import ProjectError
from mecca_agents.session import MOST_VOXELS, Model, SessionError, SessionLog, read_log
from mecca_agents.session.accepting import IMAGES, LOGS
from mecca_agents.session.actions import Choose, Redo, Save, Undo
from mecca_agents.session.choosing import LoggedPair
from mecca_agents.session.history import History
from mecca_agents.session.inputs.mask import BoxedMask
from mecca_agents.session.inputs.scan import Image, open_image
from mecca_agents.session.log import action_of
from mecca_agents.session.playing.episode import EpisodePlayer
from mecca_agents.session.playing.moment import Moment
from mecca_env.data.base import DataError
from mecca_env.data.inventory import stem, visible_files
from mecca_env.state import observe


@dataclass(frozen=True, eq=False)
class Choice:
    """Two masks of one step, one of which a person took.

    Attributes:
        case: Of the project.
        observation: What the agent saw before the step, without a batch: (D, H, W) or (K, D, H, W) each.
        masks: On the agent's grid, (2, D, H, W) bool.
        index: Which of them was taken.
    """

    case: str
    observation: Mapping[str, Tensor]
    masks: Tensor
    index: int


def read_choices(project: Path | str, model: Model, *, skip_bad: bool = False) -> list[Choice]:
    """Every choice in a project's logs that was not taken back, in the order of their cases and times.

    Logs of other weights are welcome, such as those that this run has gone on from: what they keep is done again with
    the model's own, and the masks are those that were shown. So what is chosen between does not depend on the agent,
    and what it sees before is what it would see now.

    Args:
        project: Its folder: `images/` and `logs/` are read; masks need not be there.
        model: The trained method that is to learn from them.
        skip_bad: Leave logs that are at fault out, with a warning, rather than refuse.

    Raises:
        ProjectError: There is no such folder, a log is damaged, of another scan or of another kind of run, or its scan
            cannot be used; or there is no choice.
    """
    folder = Path(project)
    if not (folder / LOGS).is_dir():
        raise ProjectError(f"{folder}: expected a project with {IMAGES}/ and {LOGS}/, found no {LOGS}/")
    scans = {str(stem(path)): path for path in visible_files(folder / IMAGES)}
    choices: list[Choice] = []
    faults: list[str] = []
    for path in sorted(path for path in visible_files(folder / LOGS) if path.suffix == ".json"):
        try:
            log = read_log(path)
            if any(entry.action == Choose.name for entry in log.entries):
                choices += choices_of(log, _scan_of(path, scans, model), model, path.stem)
        except (SessionError, DataError, ProjectError) as error:
            faults.append(str(error) if str(path) in str(error) else f"{path}: {error}")
    if faults and not skip_bad:
        raise ProjectError("\n".join(faults))
    if faults:
        warnings.warn(f"{folder}: logs left out: {'; '.join(faults)}", UserWarning, stacklevel=2)
    if not choices:
        raise ProjectError(f"{folder}: expected logs with choices between two proposals, found none")
    return choices


def choices_of(log: SessionLog, image: Image, model: Model, case: str) -> list[Choice]:
    """The choices of one log that were not taken back.

    Args:
        log: Of a session.
        image: Its scan.
        model: Who is to learn from them.
        case: Name of the case.

    Raises:
        SessionError: The log is of another scan, or of a run that takes other prompts.
    """
    if log.shape != image.shape:
        raise SessionError(f"log: expected one of a scan of {image.shape} voxels, found one of {log.shape}")
    history = History(EpisodePlayer(model), image)
    standing: list[Choice] = []
    undone: list[Choice] = []
    for entry in log.entries[1:]:
        action, before = action_of(entry), history.now
        if isinstance(action, Save):
            continue
        if isinstance(action, Choose) and isinstance(action.proposals, LoggedPair):
            standing.append(_choice(action.index, action.proposals, before, history.player, case))
            undone.clear()
        _, result = action.do(history)
        if isinstance(action, Undo) and result == Choose.name:
            undone.append(standing.pop())
        if isinstance(action, Redo) and result == Choose.name:
            standing.append(undone.pop())
    return standing


def stacked(choices: Iterable[Choice]) -> tuple[dict[str, Tensor], Tensor]:
    """Observations as a batch of B, and the masks, those that were taken first, (B, 2, D, H, W) bool."""
    choices = list(choices)
    batch = {key: torch.stack([choice.observation[key] for choice in choices]) for key in choices[0].observation}
    return batch, torch.stack([choice.masks.flip(0) if choice.index else choice.masks for choice in choices])


def _choice(index: int, pair: LoggedPair, before: Moment, player: EpisodePlayer, case: str) -> Choice:
    shape = before.image.shape
    seen = player.in_view(before, pair.view(shape))
    observation = {key: values[0] for key, values in observe(seen.state).items()}
    masks = [_on_grid(mask, seen) for mask in pair.unpacked(shape)]
    return Choice(case, observation, torch.stack(masks), index)


def _on_grid(mask: BoxedMask, moment: Moment) -> Tensor:
    """A mask of the scan at the voxels of the agent's grid, the nearest to each, (D, H, W) bool."""
    at = moment.placement.in_scan()
    x, y, z = (
        values.round().long().clamp(0, size - 1)
        for values, size in zip((at.first, at.second, at.third), moment.image.shape, strict=True)
    )
    whole = torch.from_numpy(mask.whole(moment.image.shape))
    return whole[x.unsqueeze(2), y.unsqueeze(2), z].to(moment.state.probability.device)


def _scan_of(path: Path, scans: Mapping[str, Path], model: Model) -> Image:
    if path.stem not in scans:
        raise ProjectError(f"{path}: expected its scan in {IMAGES}/, found none; put it back, or delete the log")
    return open_image(str(scans[path.stem]), None, model.modalities, MOST_VOXELS, model.run.tolerance)
