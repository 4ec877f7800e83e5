"""What networks are told of intensities: against counts by NumPy, by hand, and with nothing marked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from mecca_agents.networks.evidence import (
    BINS,
    PRIOR,
    PULL,
    RANGE,
    SMOOTHING,
    Informed,
    Layout,
    depth,
    evidence,
    reached,
)

SHAPE = (8, 9, 10)
SIGNED = Layout(modalities=1, signed=True, box=True)


def _observation(layout: Layout, seed: int = 0) -> Tensor:
    """Noise, and a target that is brighter; nothing is marked."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.zeros(2, layout.modalities + 2 + layout.signed + layout.box, *SHAPE)
    inputs[:, : layout.modalities] = 0.3 * torch.randn(2, layout.modalities, *SHAPE, generator=generator) - 0.5
    inputs[:, : layout.modalities, 2:6, 2:6, 2:6] += 2
    inputs[:, layout.modalities] = 0.5
    return inputs


def _by_numpy(intensities: np.ndarray, target: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The map of one mark of one modality, by other routines."""
    edges = np.linspace(-RANGE, RANGE, BINS + 1)
    bins = np.clip(np.digitize(intensities, edges) - 1, 0, BINS - 1)

    def spread(weights: np.ndarray) -> np.ndarray:
        def count(of: np.ndarray) -> np.ndarray:
            counts = np.histogram(np.clip(intensities, -RANGE, RANGE - 1e-6), edges, weights=of)[0]
            return gaussian_filter1d(counts, SMOOTHING, mode="constant", radius=round(3 * SMOOTHING))

        marked, every = count(weights), count(np.ones_like(weights))
        return (1 - PRIOR) * marked / weights.sum() + PRIOR * every / every.sum()

    with np.errstate(invalid="ignore"):  # of bins that no voxel is in
        return 0.5 * np.log(spread(target) / spread(background))[bins]


def test_counts_are_those_of_numpy() -> None:
    inputs = _observation(SIGNED)
    inputs[:, 2, 3:5, 3:5, 3:5] = 0.8
    inputs[:, 3, 0, :, :] = 0.6
    inputs[:, 4, 1:7, 1:7, 1:7] = 1.0
    found = evidence(inputs, SIGNED)
    assert found.shape == (2, SIGNED.channels, *SHAPE) and not found[:, 0].any()  # every probability is a half
    volume, inside, outside = (inputs[1, i].flatten().double().numpy() for i in (0, 2, 3))
    clicked = _by_numpy(volume, inside**2, outside**2).reshape(SHAPE)
    np.testing.assert_allclose(found[1, 1], clicked, atol=0.02)
    assert torch.equal(found[:, 2], depth(inputs[:, 4]))
    inputs[:, 1, 1:7, 1:7, 1:7] = 0.75
    masked = _by_numpy(volume, inputs[1, 1].flatten().numpy(), 1 - inputs[1, 1].flatten().numpy()).reshape(SHAPE)
    np.testing.assert_allclose(evidence(inputs, SIGNED)[1, 0], masked, atol=0.02)


def test_depth_is_that_of_the_ellipsoid_in_the_box() -> None:
    box = torch.zeros(2, 12, 11, 10)
    box[1, 2:9, 3:8, 1:10] = 0.5
    box[1, 2:9, 3:8, 5] = 1.0
    found = depth(box)
    z, y, x = np.indices((12, 11, 10))
    inside = ((z - 5) / 3.5) ** 2 + ((y - 5) / 2.5) ** 2 + ((x - 5) / 4.5) ** 2
    np.testing.assert_allclose(found[1], np.maximum(1 - inside, -1), atol=1e-6)
    assert not found[0].any()


def test_what_looks_like_the_marked_target_is_more_likely_than_what_looks_like_the_rest() -> None:
    inputs = _observation(SIGNED)
    inputs[:, 2, 3, 3, 3] = 1.0
    inputs[:, 3, 0, 0, 0] = 1.0
    clicks = evidence(inputs, SIGNED)[:, 1]
    assert clicks[:, 2:6, 2:6, 2:6].mean() > 0.4 and clicks[:, 7].mean() < -0.4


def test_nothing_marked_says_nothing() -> None:
    assert not evidence(_observation(SIGNED), SIGNED).abs().gt(1e-5).any()


def test_a_box_alone_reaches_what_looks_like_its_middle() -> None:
    inputs = _observation(SIGNED)
    inputs[:, 4, 1:7, 1:7, 1:7] = 1.0
    by_all, by_clicks, near_inside, near_outside = reached(inputs, SIGNED)
    assert (by_all[:, 2:6, 2:6, 2:6] > 0.2).all() and (by_all[:, 0] < -0.9).all() and (by_all[:, 7] < -0.9).all()
    assert not by_clicks.any() and not near_inside.gt(1e-6).any() and not near_outside.gt(1e-6).any()
    inputs[:, 3, 3:5, 3:5, 3:5] = 1.0  # the middle is outside, somebody says
    assert not reached(inputs, SIGNED)[0][:, 2:6, 2:6, 2:6].gt(0).any()


def test_clicks_reach_what_looks_like_their_voxels() -> None:
    inputs = _observation(SIGNED)
    inputs[:, 2, 2, 2, 2] = 1.0
    inputs[:, 3, 7, 7, 7] = 1.0
    maps = reached(inputs, SIGNED)
    assert all((each[:, 2:6, 2:6, 2:6] > 0).float().mean() > 0.9 for each in maps[:2])
    assert torch.equal(maps[0], maps[1])  # without a box
    assert (maps[2][:, 2, 2, 2] == 1).all() and (maps[3][:, 7, 7, 7] == 1).all()
    assert (maps[2][:, 5, 5, 5] > maps[2][:, 6, 6, 6]).all()
    noise = _observation(SIGNED)
    noise[:, 2, 0, 0, 0] = 1.0
    assert (reached(noise, SIGNED)[0][:, 0, 0, 0] == 1).all()  # at the border, which is outside else


def test_of_a_box_without_signs_there_is_one_map() -> None:
    layout = Layout(modalities=1, signed=False, box=True)
    inputs = _observation(layout)
    inputs[:, 3, 1:7, 1:7, 1:7] = 1.0
    (found,) = reached(inputs, layout)
    assert (found[:, 2:6, 2:6, 2:6] > 0.2).all() and (found[:, 0] < -0.9).all()
    assert reached(inputs, Layout(1, False, False)) == []


def test_unsigned_hints_say_nothing_of_sides() -> None:
    layout = Layout(modalities=2, signed=False, box=False)
    inputs = _observation(layout)
    inputs[:, 3] = 1.0
    found = evidence(inputs, layout)
    assert found.shape == (2, 1, *SHAPE) and not found.abs().gt(1e-5).any()
    inputs[:, 2, 2:6, 2:6, 2:6] = 0.9
    assert evidence(inputs, layout)[:, 0, 2:6, 2:6, 2:6].mean() > 0.1


def test_it_moves_along_with_the_scan() -> None:
    inputs = _observation(SIGNED)
    inputs[:, 2, 3:5, 3:5, 3:5] = 0.8
    torch.testing.assert_close(evidence(inputs.flip(2), SIGNED), evidence(inputs, SIGNED).flip(2))


class _Told(nn.Module):
    """Keeps what it is told, and answers 0."""

    def forward(self, inputs: Tensor, only: str | None = None) -> dict[str, Tensor]:
        self.told = inputs
        zeros = inputs.new_zeros(len(inputs), 2, *inputs.shape[2:])
        return {name: zeros for name in ("mask", "value") if only in (None, name)}


def test_clicks_pull_the_logit_of_their_voxels_and_nothing_else() -> None:
    inputs = _observation(SIGNED)
    inputs[:, 2, 3, 3, 3] = 1.0
    inputs[:, 3, 0, 0, 0] = 1.0
    told = _Told()
    outputs = Informed(told, SIGNED, ("mask",))(inputs)
    assert torch.equal(told.told[:, : inputs.shape[1]], inputs)
    torch.testing.assert_close(told.told[:, inputs.shape[1] :], evidence(inputs, SIGNED))
    mask = outputs["mask"].detach()
    assert mask[0, 0, 3, 3, 3] == PULL and mask[0, 0, 0, 0, 0] == -PULL and mask[0, 0].abs().sum() == 2 * PULL
    assert not mask[:, 1].any() and not outputs["value"].any()


@pytest.mark.parametrize("layout", [SIGNED, Layout(1, False, True)])
def test_the_pull_is_learned_where_there_are_signs(layout: Layout) -> None:
    network = Informed(_Told(), layout, ("mask",))
    assert [name for name, _ in network.named_parameters()] == (["pull"] if layout.signed else [])
