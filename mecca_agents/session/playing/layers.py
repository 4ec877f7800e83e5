"""Layers over a scan, on its own grid: whole, or the slice that is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mecca_agents.session.errors import SessionError
from mecca_agents.session.inputs.drawn import voxels_of
from mecca_agents.session.playing.episode import EpisodePlayer
from mecca_agents.session.playing.moment import Answer, Moment
from mecca_env.data.base import Box, Triple
from mecca_env.data.grid.cutting import paste_part, read_part
from mecca_env.data.grid.placement import Placement

Layer = Literal["mask", "probability", "action", "confidence", "advice", "hint"]
"""A name of what can be laid over the scan."""

_SMOOTH = ("probability", "confidence", "hint")  # the others keep the values that they have on the agent's grid


@dataclass(frozen=True)
class Region:
    """A supervoxel in which the agent asks for clicks.

    Attributes:
        confidence: Mean confidence of the agent in its last action there.
        centre: A voxel of the scan in its middle.
        low: First voxel of the box around the centres of its voxels.
        high: Opposite corner, exclusive.
    """

    confidence: float
    centre: Triple
    low: Triple
    high: Triple


def whole_layer(moment: Moment, layer: Layer, step: int | None = None) -> NDArray[Any] | None:
    """A layer on the whole scan, (X, Y, Z); None where there is none at this moment.

    "mask" and "advice" are bool, the others float32, 0 outside of what the agent sees. In the mask a voxel that was
    clicked is on the side that the person said, whatever the agent made of it.

    Args:
        moment: The session.
        layer: Which one.
        step: Of the mask: after which step; None: now.

    Raises:
        SessionError: No such step was taken.
    """
    if layer == "mask" and step is None and moment.loaded is not None:
        return moment.loaded.whole(moment.image.shape)
    placement, values = _values(moment, layer) if step is None else _answer(moment, step)
    if values is None:
        return None
    whole: NDArray[Any] = np.zeros(moment.image.shape, _kind(layer))
    inside = tuple(slice(a, b) for a, b in zip(placement.low, placement.high, strict=True))
    whole[inside] = _part(values, placement, layer, (placement.low, placement.high))
    if layer == "mask":
        for (x, y, z), side in _sides(moment, len(moment.answers) if step is None else step).items():
            whole[x, y, z] = side
    return whole


def layer_slice(moment: Moment, layer: Layer, axis: int, index: int) -> NDArray[Any] | None:
    """The slice of a layer at `index` along `axis`, without making the rest of it."""
    loaded = moment.loaded if layer == "mask" else None
    placement, values = _values(moment, layer)
    if values is None:
        return None
    low, high = (list(corner) for corner in ((placement.low, placement.high) if loaded is None else loaded.box))
    others = [other for other in range(3) if other != axis]
    plane: NDArray[Any] = np.zeros([moment.image.shape[other] for other in others], _kind(layer))
    if low[axis] <= index < high[axis]:
        inside = tuple(slice(low[other], high[other]) for other in others)
        if loaded is not None:
            plane[inside] = loaded.part.take(index - low[axis], axis)
            return plane
        low[axis], high[axis] = index, index + 1
        plane[inside] = _part(values, placement, layer, (_triple(low), _triple(high))).squeeze(axis)
    if layer == "mask":
        for voxel, side in _sides(moment, len(moment.answers)).items():
            if voxel[axis] == index:
                plane[tuple(voxel[other] for other in others)] = side
    return plane


def _sides(moment: Moment, steps: int) -> dict[Triple, bool]:
    """Voxels of the scan that a person said the side of before some number of steps: the last word counts."""
    said = [click for click in moment.clicks if click.inside is not None and click.step <= steps]
    points = np.array([click.point for click in said]).reshape(-1, 3)
    voxels = voxels_of(points, ((0, 0, 0), moment.image.shape))
    return {_triple(voxel): bool(click.inside) for voxel, click in zip(voxels, said, strict=True)}


def advised_regions(moment: Moment, player: EpisodePlayer) -> list[Region]:
    """The supervoxels of "advice", least confident first."""
    advice = moment.state.advice
    if advice is None or moment.confidence is None or not moment.answers:
        return []
    inside, confidence, numbers = (
        values.detach().cpu().numpy() for values in (advice[0], moment.confidence, player.regions(moment))
    )
    at = moment.placement.in_scan()
    regions = []
    for number in np.unique(numbers[inside]):
        d, h, w = np.nonzero(numbers == number)
        points = np.stack([at.first[d, h].numpy(), at.second[d, h].numpy(), at.third[w].numpy()], axis=1)  # (N, 3)
        voxels = np.clip(np.rint(points), moment.view[0], np.array(moment.view[1]) - 1).astype(int)
        centre = voxels[((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        mean = float(confidence[d, h, w].mean(dtype=np.float64))
        regions.append(Region(mean, _triple(centre), _triple(voxels.min(axis=0)), _triple(voxels.max(axis=0) + 1)))
    return sorted(regions, key=lambda region: region.confidence)


def _values(moment: Moment, layer: Layer) -> tuple[Placement, Tensor | None]:
    """A layer on the agent's grid, (D, H, W), and where that lies: that of the last step, whatever is seen since."""
    if layer in ("mask", "probability"):
        return moment.answers[-1] if moment.answers else (moment.placement, moment.state.probability[0])
    return moment.placement, _of_the_view(moment, layer)


def _of_the_view(moment: Moment, layer: Layer) -> Tensor | None:
    match layer:
        case "hint":
            hint = moment.state.hint[0]
            return hint if hint.ndim == 3 else hint.amax(0)
        case "action":
            return moment.change
        case "confidence":
            return moment.confidence
        case "advice":
            advice = moment.state.advice
            return None if advice is None or not moment.answers else advice[0]
    raise SessionError(f"layer: expected one of {', '.join(get_args(Layer))}, got {layer!r}")


def _kind(layer: Layer) -> type[np.bool_] | type[np.float32]:
    return np.bool_ if layer in ("mask", "advice") else np.float32


def _answer(moment: Moment, step: int) -> Answer:
    if isinstance(step, bool) or not 1 <= step <= len(moment.answers):
        raise SessionError(f"step: expected one of the {len(moment.answers)} steps taken, got {step!r}")
    return moment.answers[step - 1]


def _part(values: Tensor, placement: Placement, layer: Layer, box: Box) -> NDArray[Any]:
    grid = values.detach().cpu()
    if layer == "mask":
        return paste_part(grid, placement, box)
    found = read_part(grid, placement, box, smooth=layer in _SMOOTH)
    return found > 0.5 if layer == "advice" else found


def _triple(values: Sequence[int] | NDArray[Any]) -> Triple:
    a, b, c = (int(v) for v in values)
    return a, b, c
