"""What a domain makes of a scan, in numbers that can be worked out by hand, and what the built-in ones draw."""

from __future__ import annotations

import numpy as np
import pytest

from mecca_env.data.base import Scan
from mecca_env.data.drift.domains import DRIFTS, Domain, DomainSource, seen_in
from mecca_env.data.phantom import PhantomSource
from mecca_env.data.shapes import ShapesSource, shapes_scan


def _scan() -> Scan:
    """Air, and four shades of tissue along the last axis."""
    image = np.zeros((1, 2, 2, 4), np.float32)
    image[0, 0] = [1, 2, 3, 4]
    label = np.zeros((2, 2, 4), bool)
    label[0, :, 1:] = True
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[2, 3] = 10.0
    return Scan("scan", image, label, affine)


def test_intensities_go_through_the_curve_and_air_stays() -> None:
    seen = seen_in(_scan(), Domain("dark", "Phantom", curve=((0, 1), (1, 0))), 0)
    assert seen.image[0, 0, 0].tolist() == [3, 2, 1, 0] and not seen.image[0, 1].any()
    faint = seen_in(_scan(), Domain("faint", "Phantom", curve=((0, 0), (0.5, 0.5), (1, 0.75))), 0)
    assert faint.image[0, 0, 0].tolist() == [1, 2, 2.5, 3]
    assert seen.image.dtype == np.float32 and seen.label is not None


def test_slices_become_thick_and_lie_where_they_were() -> None:
    seen = seen_in(_scan(), Domain("thick", "Phantom", slices=2), 0)
    assert seen.image[0, 0, 0].tolist() == [1.5, 3.5] and seen.label[0, 0].tolist() == [True, True]
    assert not seen.label[1].any()
    middle = seen.affine @ [0, 0, 1, 1]
    assert middle[2] == 10.0 + 3.0 * 2.5 and seen.affine[2, 2] == 6.0
    third = seen_in(_scan(), Domain("thick", "Phantom", slices=3), 0)
    assert third.image.shape == (1, 2, 2, 1) and third.image[0, 0, 0, 0] == 2


def test_a_thin_target_is_not_lost_between_thick_slices() -> None:
    scan = _scan()
    scan.label[...] = False
    scan.label[0, 0, 0] = True
    assert seen_in(scan, Domain("thick", "Phantom", slices=4), 0).label.sum() == 1


def test_noise_and_bias_are_of_the_scans_range_and_of_its_index() -> None:
    image = np.full((1, 40, 40, 40), 50.0, np.float32)
    image[0, 0, 0, :2] = 0, 100
    scan = Scan("scan", image, image[0] > 60, np.eye(4))
    noisy = [seen_in(scan, Domain("noisy", "Phantom", noise=0.1), key).image[0] for key in (1, 1, 2)]
    assert np.array_equal(noisy[0], noisy[1]) and not np.array_equal(noisy[0], noisy[2])
    assert noisy[0][1:].std() == pytest.approx(10, rel=0.05) and noisy[0][0, 0, 0] == 0
    uneven = seen_in(scan, Domain("uneven", "Phantom", bias=0.2), 1).image[0]
    assert 2 < uneven[1:].std() < 25 and np.abs(np.diff(uneven[1:], axis=0)).max() < 5  # smooth


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_built_in_domain_draws_its_cases(drift: str) -> None:
    names = [domain.name for domain in DRIFTS[drift]]
    assert len(set(names)) == len(names) >= 3
    for domain in DRIFTS[drift]:
        source = DomainSource(domain)
        scan = source.scan(6)
        assert scan.name == source.case_name(6) == f"{domain.dataset.lower()}-{domain.name}_0000000006"
        assert scan.label.sum() > 100 and np.isfinite(scan.image).all() and scan.image.dtype == np.float32
        assert np.array_equal(scan.image, DomainSource(domain).scan(6).image)


def test_the_first_domain_of_a_phantom_is_the_phantom() -> None:
    for drift in ("contrast", "scanner"):
        assert np.array_equal(DomainSource(DRIFTS[drift][0]).scan(3).image, PhantomSource().scan(3).image)


def test_shapes_are_of_the_families_that_are_asked_for() -> None:
    some = ("cloud", "horn")
    assert {shapes_scan(index, families=some)[2].target.family for index in range(10)} == {*some}
    assert np.array_equal(ShapesSource().scan(4).image, shapes_scan(4)[0].numpy())
    for wrong in ((), ("walls",)):
        with pytest.raises(ValueError, match="^families: expected some of ellipsoid, lobes, .*, got"):
            ShapesSource(families=wrong)
