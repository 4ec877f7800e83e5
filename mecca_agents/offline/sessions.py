"""Sessions of people as episodes: what `mecca annotate` has saved becomes a Minari data set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mecca_agents.offline.recorder import Episode, Recorder, first_row
from mecca_agents.session import InteractiveSession, Model, SessionError
from mecca_agents.session.log import SessionLog, read_log
from mecca_agents.session.playing.moment import Chosen
from mecca_env.actions import action_space, observation_space
from mecca_env.state import observe

_DESCRIPTION = (
    "Interactive segmentation by {method} with people who clicked, from {count} of their sessions; every voxel is an "
    "agent. Observations hold the scan, the probability of foreground and the hint of clicks. There was no label, so "
    "rewards are 0, and episodes are broken off where a person stopped."
)


def session_episode(session: InteractiveSession) -> Episode:
    """A session as an episode of the environment: what the agent saw at each step, and did.

    Steps that were undone, and what came before the present box, mask or reset, are not part of it. Where a person
    chose between two proposals at any step, the infos say at each which was taken, and what the other mask was.

    Args:
        session: One with a scan and at least one step.

    Raises:
        SessionError: There is no step, or the first ones are beyond what can be undone.
    """
    states, choices = session.states(), session.choices()
    if len(states) == 1:
        raise SessionError("session: expected at least one step, got none")
    about = [_choice_info(choice, states[0].shape) if any(choices) else None for choice in (None, *choices)]
    case = Path(session.files[0]).name if session.files else None
    recorder = Recorder(first_row(observe(states[0])), about[0], case=case)
    for (before, after), choice, info in zip(pairwise(states), choices, about[1:], strict=True):
        action = session.model.agent.act(observe(before)) if choice is None else choice.action
        recorder.step(first_row(action), first_row(observe(after)), info=info)
    return recorder.episode()


def _choice_info(choice: Chosen | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """Which of two proposals a step was, -1 where there were none, and the mask of the other one, (D, H, W)."""
    if choice is None:
        return {"choice": np.int64(-1), "other": np.zeros(shape, np.bool_)}
    return {"choice": np.int64(choice.index), "other": choice.other.cpu().numpy()}


def record_sessions(
    logs: Sequence[Path], model: Model, dataset: str, *, scans: Path | None = None, overwrite: bool = False
) -> Path:
    """Do again what session logs say, and write each as an episode of a Minari data set.

    Args:
        logs: Files that `InteractiveSession.save_log` or the page has written.
        model: The trained method that acted in them.
        dataset: Minari id of the data set.
        scans: Folder of the scans; None: each log's own.
        overwrite: Replace a data set of this id.

    Returns:
        The data set's folder.

    Raises:
        ImportError: Minari is not installed.
        SessionError: A file is no log, or one of another model, or without a step; its name is in the message.
        mecca_env.data.base.DataError: A scan cannot be used.
        mecca_agents.offline.minari_writer.DatasetError: The id is none, or there is such a data set already.
        OSError: There is no more space on the disk, for instance.
    """
    from mecca_agents.offline.minari_writer import DatasetWriter

    writer = DatasetWriter(
        dataset,
        observation_space(model.config, model.modalities),
        action_space(model.config),
        algorithm=model.method,
        description=_DESCRIPTION.format(method=model.method, count=len(logs)),
        overwrite=overwrite,
    )
    with writer:
        for path in logs:
            log = read_log(path)
            with InteractiveSession(model) as session:
                try:
                    session.load_log(log, _scan_of(log, scans or path.parent))
                    episode = session_episode(session)
                except SessionError as error:
                    raise SessionError(f"{path}: {error}") from error
            writer.add(episode)
    return writer.path


def _scan_of(log: SessionLog, folder: Path) -> list[str]:
    """The files that a log names, which are looked for in one folder and nowhere else."""
    if not log.files:
        raise SessionError("log: expected the names of its scan's files, found none: it was given as an array")
    return [str(folder / Path(name).name) for name in log.files]
