"""An agent under other prompts than those of its training: what is played, what it sees of it, what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mecca_agents.agent import Observation, TaskSpec
from mecca_agents.runs.config import RunConfig
from mecca_agents.runs.envs import follows_advice
from mecca_agents.runs.errors import RunError
from mecca_agents.runs.loading import make_task, task_of
from mecca_env.process.choices import read_choice
from mecca_env.process.config import ALL_LABELLED, BOXES, EnvConfig, with_horizon

PROMPTS = (
    *("protocol", "horizon", "clicks", "user", "signed", "box", "crop", "start", "time"),
    *("box_jitter", "click_side"),
)
"""The settings of an environment that say who prompts, with what and when. A protocol replaces all of them."""

TESTING: Mapping[str, Any] = {"augment": False, "target_dice": None, **ALL_LABELLED}
"""Settings of a training that an evaluation does not take over: it plays every case, as it is and to the end."""


@dataclass(frozen=True)
class Adaptation:
    """The settings of an evaluation, and how its agent is led to take them.

    Attributes:
        settings: Of the environment.
        merged: The agent knows one hint map, the environment has two: it sees the larger value of both.
        hidden: Parts of the observation that the agent was trained without and does not see.
        empty_box: The agent was trained with a box in some episodes, the environment has none: it sees an empty one.
        unguided: The agent gives advice and no user follows it: what it does counts, its confidence guides nobody.
    """

    settings: Mapping[str, Any]
    merged: bool = False
    hidden: tuple[str, ...] = ()
    empty_box: bool = False
    unguided: bool = False

    def __str__(self) -> str:
        """What is done to the agent, in words; nothing where it plays as it was trained."""
        seen = ["the larger value of both hint maps"] * self.merged
        seen += ["an empty box"] * self.empty_box + [f"no {name}" for name in self.hidden]
        parts = [f"the agent sees {' and '.join(seen)}"] * bool(seen) + ["nobody follows its advice"] * self.unguided
        return f"adapted: {', '.join(parts)}" if parts else ""

    def observation(self, observation: Observation) -> Observation:
        """What the agent sees of an observation of the environment; nothing in that is changed."""
        seen = {key: values for key, values in observation.items() if key not in self.hidden}
        if self.merged:
            seen["hint"] = observation["hint"].amax(dim=1)
        if self.empty_box:
            seen["box"] = torch.zeros_like(observation["probability"])
        return seen

    def action(self, action: Any) -> Any:
        """What the environment is given of the agent's action."""
        return action["adjustment"] if self.unguided and isinstance(action, Mapping) else action


def adapted(config: RunConfig, asked: Mapping[str, Any] | None = None) -> Adaptation:
    """The settings that a run is tested with, and what its agent needs for that. Nothing is opened or played.

    A protocol that is asked for replaces all prompts of the training (`PROMPTS`), and what else is asked for wins over
    that. Without one, the prompts are those of the training but for what is asked for; with another horizon, numbers
    that the training had for each step go on with the last one, or end earlier.

    An agent that was trained with less than a protocol shows is led past it, so that runs of several protocols can be
    compared under each. The other way there is no honest way: what an agent was always told is not made up.

    Args:
        config: How the agent was trained.
        asked: Settings of the environment.

    Raises:
        RunError: The agent cannot take these prompts; the message says why.
        ValueError: A setting is out of range.
    """
    given = dict(asked or {})
    settings = {**prompted(config.settings, given), **TESTING, **given}
    unguided = bool(settings.get("guide")) and "guide" not in given and not follows_advice(settings)
    if unguided:
        settings["guide"] = False
    known = {name: value for name, value in settings.items() if name in EnvConfig.__dataclass_fields__}
    played = EnvConfig(**{"shape": config.preset.shape, **known})
    trained, task = task_of(config), make_task(played, config.modalities)
    empty_box = trained.box and not task.box and _was_without_box(config)
    _refuse_less(trained, task, played, empty_box)
    merged = trained.hints < task.hints
    hidden = tuple(name for name in ("box", "time") if getattr(task, name) and not getattr(trained, name))
    if "protocol" not in given and (merged or hidden):
        more = " and ".join(["signs"] * merged + [*hidden])
        raise RunError(
            f"{config.method}: expected prompts as in training, without {more}, got prompts with; "
            "with a protocol (--protocol NAME) the agent plays them and does not see that"
        )
    return Adaptation(settings, merged, hidden, empty_box, unguided)


def prompted(trained: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training as far as others leave them: what is asked for goes over them.

    A protocol replaces all prompts (`PROMPTS`). With another horizon, numbers that were given for each step go on with
    the last one, or end earlier.

    Args:
        trained: Settings of the environment.
        asked: Those that are asked for instead.
    """
    if "protocol" in asked:
        kept = {name: value for name, value in trained.items() if name not in PROMPTS}
        horizon = EnvConfig(**{name: asked[name] for name in PROMPTS if name in asked}).horizon
        return with_horizon(kept, horizon)
    return with_horizon(trained, asked["horizon"]) if "horizon" in asked else dict(trained)


def _was_without_box(config: RunConfig) -> bool:
    """Whether some episodes of a training had no box, so that an agent knows what to make of an empty one."""
    trained = EnvConfig(**{"shape": config.preset.shape, **config.settings})
    return read_choice("box", trained.box, BOXES).get("none", 0.0) > 0


def _refuse_less(trained: TaskSpec, task: TaskSpec, played: EnvConfig, empty_box: bool) -> None:
    """Raise `RunError` where a network would miss a part of its observation."""
    needed = {
        "signs": (trained.hints > task.hints, "--signed", "nothing else tells its two hint maps apart"),
        "a box": (trained.box and not task.box and not empty_box, "--box KIND", "it was never without one"),
        "the time": (trained.time and not task.time, "--time", "it was always told"),
    }
    missing = {what: why for what, (lost, *why) in needed.items() if lost}
    if missing:
        flags, reasons = zip(*missing.values(), strict=True)
        raise RunError(
            f"protocol {played.protocol!r}: expected prompts with {' and '.join(missing)}, as this agent was trained "
            f"with, got prompts without ({', '.join(reasons)}); {' '.join(flags)} adds that"
        )
