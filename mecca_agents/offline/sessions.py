"""Sessions of people as episodes: what `mecca annotate` has saved becomes a Minari data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from mecca_agents.offline.recorder import Episode, Recorder, first_row
from mecca_agents.session import InteractiveSession, Model, SessionError
from mecca_agents.session.log import SessionLog, read_log
from mecca_agents.session.playing.moment import Chosen
from mecca_env.actions import action_space, observation_space
from mecca_env.state import State, observe

_DESCRIPTION = (
    "Interactive segmentation by {method} with people who clicked, from {count} of their sessions; every voxel is an "
    "agent. Observations hold the scan, the probability of foreground and the hint of clicks. There was no label, so "
    "rewards are 0, and episodes are broken off where a person stopped or the agent looked at another part of the scan."
)


def session_episodes(session: InteractiveSession) -> list[Episode]:
    """A session as episodes of the environment: what the agent saw at each step, and did.

    It is one, unless the agent finds its view by itself: where it looks elsewhere, the episode is broken off with the
    answer before, and another one begins in the new view. So all of an episode is on one grid.

    Steps that were undone, and what came before the present box, mask or reset, are not part of it. Where a person
    chose between two proposals at any step, the infos say at each which was taken, and what the other mask was.

    Args:
        session: One with a scan and at least one step.

    Raises:
        SessionError: There is no step, or the first ones are beyond what can be undone.
    """
    *steps, now = session.moments()
    if not steps:
        raise SessionError("session: expected at least one step, got none")
    chosen = any(step.chosen for step in steps)
    case = Path(session.files[0]).name if session.files else None
    acted = [cast("State", step.acted) for step in steps]
    recorders, looks_elsewhere = list[Recorder](), True
    for step, before, after in zip(steps, acted, [*acted[1:], now.state], strict=True):
        if looks_elsewhere:
            info = _choice_info(None, before.shape) if chosen else None
            recorders.append(Recorder(first_row(observe(before)), info, case=case))
        looks_elsewhere = after.volume is not step.state.volume
        action = session.model.agent.act(observe(before)) if step.chosen is None else step.chosen.action
        info = _choice_info(step.chosen, before.shape) if chosen else None
        seen = observe(step.state if looks_elsewhere else after)
        recorders[-1].step(first_row(action), first_row(seen), info=info)
    return [recorder.episode() for recorder in recorders]


def _choice_info(choice: Chosen | None, shape: tuple[int, ...]) -> dict[str, Any]:
    """Which of two proposals a step was, -1 where there were none, and the mask of the other one, (D, H, W)."""
    if choice is None:
        return {"choice": np.int64(-1), "other": np.zeros(shape, np.bool_)}
    return {"choice": np.int64(choice.index), "other": choice.other.cpu().numpy()}


def record_sessions(
    logs: Sequence[Path], model: Model, dataset: str, *, scans: Path | None = None, overwrite: bool = False
) -> Path:
    """Do again what session logs say, and write it as a Minari data set (`session_episodes`).

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
                    episodes = session_episodes(session)
                except SessionError as error:
                    raise SessionError(f"{path}: {error}") from error
            for episode in episodes:
                writer.add(episode)
    return writer.path


def _scan_of(log: SessionLog, folder: Path) -> list[str]:
    """The files that a log names, which are looked for in one folder and nowhere else."""
    if not log.files:
        raise SessionError("log: expected the names of its scan's files, found none: it was given as an array")
    return [str(folder / Path(name).name) for name in log.files]
