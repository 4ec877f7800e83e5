"""Named sets of settings: who prompts, with what and when, as this paper and others have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from types import MappingProxyType
from typing import Any

_ONE_AT_A_TIME = (0, 1, 1, 1, 1, 1)

PROTOCOLS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": {},
        "cvpr25": {
            "signed": True,
            "user": "largest-error",
            "box": "middle-slice",
            "crop": "box",
            "horizon": 6,
            "clicks": _ONE_AT_A_TIME,
        },
        "one-click": {
            "signed": True,
            "user": "largest-error",
            "box": "label",
            "crop": "box",
            "horizon": 6,
            "clicks": _ONE_AT_A_TIME,
        },
        "first-click": {
            "signed": True,
            "user": "largest-error",
            "crop": "click",
            "horizon": 6,
            "clicks": (1,) * 6,
        },
        "mixed": {
            "signed": True,
            "user": {"largest-error": 0.4, "random-error": 0.2, "edges": 0.2, "scribble": 0.2},
            "box": {"label": 0.7, "none": 0.3},
            "crop": {"box": 0.6, "click": 0.4},
            "click_side": (24.0, 192.0),
            "start": {"half": 0.8, "mask": 0.2},
            "horizon": 6,
            "clicks": ((0, 1), (0, 2), (0, 3), (0, 3), (0, 3), (0, 3)),
        },
    }
)
"""Settings by the name of a protocol; those that are missing are the paper's.

"cvpr25" is the loop of the CVPR 2025 challenge of interactive segmentation: a box on the middle slice, then a click at
the middle of the largest error, five times. "one-click" begins with a box in three dimensions instead, "first-click"
with a click and no box. "mixed" is for training: some of everything, in some episodes nothing at all, and views around
a first click from those that the target fills to those that it is small in.
"""


def with_protocol(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, completed by those of their protocol; what is given counts.

    Clicks of a protocol go on with the last number, or end earlier, where a horizon is given.

    Args:
        settings: Attributes of `EnvConfig` by name.

    Raises:
        ValueError: There is no such protocol.
    """
    name = settings.get("protocol", "paper")
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {', '.join(map(repr, PROTOCOLS))}, got {name!r}")
    own = dict(PROTOCOLS[name])
    horizon: Any = settings.get("horizon")
    if "clicks" in own and hasattr(horizon, "__index__") and index(horizon) > 0:
        own["clicks"] = continued(own["clicks"], index(horizon))
    return own | {
        key: value for key, value in settings.items() if not (key == "clicks" and value is None and "clicks" in own)
    }


def continued(given: Sequence[Any], horizon: int) -> tuple[Any, ...]:
    """Numbers of an episode's steps for one of another length: the last one goes on, or they end earlier."""
    return (*given, *[given[-1]] * horizon)[:horizon]
