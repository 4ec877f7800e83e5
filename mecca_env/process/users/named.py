"""Users by name, objects of somebody's own, and mixtures of both."""

from __future__ import annotations

from collections.abc import Mapping

from mecca_env.process.config import EnvConfig
from mecca_env.process.contracts import SimulatedUser
from mecca_env.process.users.checked import CheckedUser, voxels_per_prompt
from mecca_env.process.users.edges import EdgeUser, ImpreciseUser
from mecca_env.process.users.errors import LargestErrorUser, RandomErrorUser, RegionCentreUser
from mecca_env.process.users.mixture import MixedUser
from mecca_env.process.users.nobody import NoUser
from mecca_env.process.users.scribbles import ScribbleUser

_OURS = (EdgeUser, ImpreciseUser, RegionCentreUser, LargestErrorUser, RandomErrorUser, ScribbleUser, NoUser)
SEVERAL = 12
"""Clicks of the user "edges" for each prompt: about as many as the paper's makes at a time (25, then 5)."""

_BLIND_TO_ADVICE = ("largest-error", "random-error", "region-centre", "scribble")


def make_user(user: str | SimulatedUser | Mapping[str | SimulatedUser, float], guide: bool) -> SimulatedUser:
    """The user of that name, the object given, or a mixture.

    Args:
        user: "edge", "edges", "guided", "imprecise", "region-centre", "largest-error", "random-error", "scribble",
            "none", an object with a `click` method, or a mapping of such to weights. With a guide, "edge", "edges" and
            "imprecise" follow its advice; `EdgeUser()` as an object does not.
        guide: Whether the environment gives advice.

    Raises:
        ValueError: A name is unknown; "guided" without a guide, or a guide and nobody who could follow it.
        TypeError: Neither a name nor an object with a `click` method.
    """
    users = list(user) if isinstance(user, Mapping) else [user]
    if guide and all(isinstance(one, str) and one in _BLIND_TO_ADVICE for one in users):
        raise ValueError(f"user: expected somebody who can follow advice, since guide=True, got {user!r}")
    made = [_make(one, guide) for one in users]
    return MixedUser(made) if isinstance(user, Mapping) else made[0]


def click_room(config: EnvConfig) -> int:
    """The most voxels that can be clicked in one episode, those of lines counted one by one: K of `State.clicks`."""
    return config.total_clicks * voxels_per_prompt(make_user(config.user, config.guide))


def _make(user: str | SimulatedUser, guide: bool) -> SimulatedUser:
    named: dict[str, SimulatedUser] = {
        "edge": EdgeUser(within_advice=guide),
        "edges": EdgeUser(within_advice=guide, voxels_per_prompt=SEVERAL),
        "guided": EdgeUser(within_advice=True),
        "imprecise": ImpreciseUser(within_advice=guide),
        "region-centre": RegionCentreUser(),
        "largest-error": LargestErrorUser(),
        "random-error": RandomErrorUser(),
        "scribble": ScribbleUser(),
        "none": NoUser(),
    }
    if isinstance(user, str):
        if user not in named:
            raise ValueError(f"user: expected one of {sorted(named)} or an object with a click() method, got {user!r}")
        if user == "guided" and not guide:
            raise ValueError("user: 'guided' clicks inside the guide's advice, which needs guide=True")
        return named[user]
    if isinstance(user, type) or not isinstance(user, SimulatedUser):
        raise TypeError(f"user: expected a name or an object with a click() method, got {user!r}")
    return user if isinstance(user, _OURS) else CheckedUser(user)
