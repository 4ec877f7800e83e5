"""Two proposals of the next step, between which a person chooses, and how a log keeps both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mecca_agents.session.errors import SessionError
from mecca_agents.session.inputs.mask import BoxedMask, LoggedMask
from mecca_agents.session.playing.episode import EpisodePlayer
from mecca_agents.session.playing.layers import whole_layer
from mecca_agents.session.playing.moment import Chosen, Moment
from mecca_env.data.base import Box, Triple
from mecca_env.state import observe


@dataclass(frozen=True, eq=False)
class Proposals:
    """Two masks, and the moments that they belong to.

    Attributes:
        before: The moment at which they were asked for.
        seed: Of what was drawn for them.
        after: The moment after each.
        masks: Of each, (X, Y, Z) bool.
    """

    before: Moment
    seed: int
    after: tuple[Moment, Moment]
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]]

    def packed(self) -> LoggedPair:
        """Both masks as a log has them."""
        low, high = view = self.after[0].view
        inside = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        one, other = (BoxedMask(view, mask[inside]).packed().bits for mask in self.masks)
        return LoggedPair(list(low), list(high), (one, other))


@dataclass(frozen=True)
class LoggedPair:
    """Two masks as a log has them, which may be anything.

    Attributes:
        low: First voxel of what the agent saw, beyond which both are empty.
        high: Opposite corner, exclusive.
        bits: Of each, what is in there, as `LoggedMask.bits`.
    """

    low: Sequence[int] | None
    high: Sequence[int] | None
    bits: tuple[str, str]

    def unpacked(self, shape: Triple) -> tuple[BoxedMask, BoxedMask]:
        """Both masks on a scan of this shape, (X, Y, Z). Raises `SessionError`."""
        one, other = (LoggedMask(self.low, self.high, bits).unpacked(shape) for bits in self.bits)
        return one, other

    def view(self, shape: Triple) -> Box:
        """What the agent saw of a scan of this shape. Raises `SessionError`."""
        return self.unpacked(shape)[0].box


def propose(player: EpisodePlayer, moment: Moment, seed: int, view: Box | None = None) -> Proposals:
    """Two proposals of the next step.

    Args:
        player: Makes moments.
        moment: The present one.
        seed: Of what is drawn; the same seed at the same moment gives the same two.
        view: What the agent is to see; None: what it would see in a step.

    Raises:
        SessionError: The agent is in no doubt, or what it answered is no action.
    """
    seen = player.in_view(moment, view or player.view_of_step(moment))
    try:
        actions = player.model.agent.propose(observe(seen.state), seed)
    except (ValueError, TypeError, FloatingPointError) as error:
        raise SessionError(f"{player.model.folder}: expected two actions of the agent, got none: {error}") from error
    if actions is None:
        raise SessionError("proposals: expected an agent in doubt, got one whose two masks would be the same")
    one, other = (player.act(seen, action) for action in actions)
    after = (
        replace(one, chosen=Chosen(0, actions[0], other.state.prediction[0])),
        replace(other, chosen=Chosen(1, actions[1], one.state.prediction[0])),
    )
    masks = [cast("NDArray[np.bool_]", whole_layer(each, "mask")) for each in after]
    return Proposals(moment, seed, after, (masks[0], masks[1]))


def next_seed(before: Proposals | None, moment: Moment, actions: int) -> int:
    """A seed that follows from what was done: others at another moment, or where two were asked for already.

    Args:
        before: The proposals that were asked for last.
        moment: The present one.
        actions: How many the log has.
    """
    if before is not None and before.before is moment:
        return before.seed + 1
    digest = hashlib.sha256(f"{moment.image.identity}:{actions}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
