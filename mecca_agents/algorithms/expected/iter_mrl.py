"""IteR-MRL with the gradient over all actions: cost-sensitive classification of the next step.

The reward of every action is known in training, since it is looked up from the label. So the expected reward of the
next step, sum over actions of pi(a) gain(a), has an exact gradient (Eq. 5 as printed), without sampling noise:

    for t in 1..T:
        a = the action of a test          one for each voxel, nothing is drawn
        s, gain <- env.step(a)
    loss = -sum over a of pi(a) gain(a)   Eq. 5, 9
         - entropy_weight H(pi)

It is no actor-critic: there is no critic, and what comes after the next step has no part in it.
"""

from __future__ import annotations

from typing import ClassVar

from mecca_agents.algorithms.iter_mrl import IterMRL


class ExpectedIterMRL(IterMRL):
    """The method; an `Agent`."""

    name = "iter-mrl-expected"
    footnote = (
        "No actor-critic: the gradient over all actions, each paid what it would earn at once, and no look ahead."
    )
    samples: ClassVar[bool] = False
