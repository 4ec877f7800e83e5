"""MECCA with the gradient over all actions in place of a sampled one (`expected.iter_mrl` says what that is)."""

from __future__ import annotations

from typing import ClassVar

from mecca_agents.algorithms.mecca import Mecca


class ExpectedMecca(Mecca):
    """The method; an `Agent`."""

    name = "mecca-expected"
    footnote = "No actor-critic: MECCA on the gradient over all actions."
    samples: ClassVar[bool] = False
