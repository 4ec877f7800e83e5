"""The settings of the decision process: the published defaults, and one clear error for each that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mecca_env.process.config import ALL_LABELLED, EnvConfig, some_unlabelled, with_horizon


def test_defaults_are_those_of_the_paper() -> None:
    config = EnvConfig()
    assert config.shape == (55, 55, 30)
    assert config.horizon == 5
    assert config.clicks == (25, 5, 5, 5, 5)
    assert config.total_clicks == 45
    assert config.adjustments == (-0.4, -0.2, -0.1, 0.1, 0.2, 0.4)
    assert (config.action, config.reward, config.user, config.hint) == ("discrete", "gain", "edge", "gaussian")
    assert (config.hint_sigma, config.hint_radius) == (2.0, 8)
    assert config.guide is False and config.advised == 5
    assert config.supervoxels == (100, 90, 80, 70, 60)
    assert (config.slic_spacing, config.slic_compactness) == ((2.0, 2.0, 2.0), 0.1)
    assert config.labelled_fraction == 1.0 and config.target_dice is None and config.augment is None
    assert config.extension == (1, 11) and config.evaluation_extension == 6
    assert config.intensity_clip == 5.0
    assert config.wrong_way == 0.05


BAD: list[tuple[str, Any]] = [
    ("shape", (55, 55)),
    ("shape", (55, 55, 7)),
    ("shape", (55, 55, 30.0)),
    ("shape", (-55, 55, 30)),
    ("shape", 55),
    ("shape", None),
    ("shape", "55"),
    ("horizon", 0),
    ("horizon", -1),
    ("horizon", 2.0),
    ("horizon", True),
    ("horizon", None),
    ("clicks", (25, 5, 5, 5, -1)),
    ("clicks", (25, 5)),
    ("clicks", (25, 5, 5, 5, 5, 5)),
    ("clicks", (25, 5, 5, 5, 0.5)),
    ("clicks", 25),
    ("adjustments", ()),
    ("adjustments", (0.1, 0.1)),
    ("adjustments", (0.0, 0.1)),
    ("adjustments", (0.1, 1.5)),
    ("adjustments", (0.1, 0.12345)),
    ("adjustments", (0.1, float("nan"))),
    ("adjustments", ("a",)),
    ("adjustments", 0.1),
    ("action", "jump"),
    ("action", None),
    ("hint_sigma", 0.0),
    ("hint_sigma", -1.0),
    ("hint_sigma", float("nan")),
    ("hint_sigma", "wide"),
    ("hint_sigma", 1e-170),
    ("hint_sigma", 1e200),
    ("hint_radius", 0),
    ("hint_radius", 2.5),
    ("epsilon", 0.0),
    ("epsilon", 0.5),
    ("epsilon", float("nan")),
    ("error_weight", -0.1),
    ("error_weight", float("inf")),
    ("boundary_weight", -0.1),
    ("boundary_weight", float("inf")),
    ("boundary_sigma", 0.0),
    ("boundary_sigma", float("nan")),
    ("wrong_way", 1.0),
    ("wrong_way", -0.1),
    ("guide", "yes"),
    ("supervoxels", (100, 90, 80, 70)),
    ("supervoxels", (100, 90, 80, 70, 0)),
    ("advised", 0),
    ("advised", 2.5),
    ("slic_spacing", (2.0, 2.0)),
    ("slic_spacing", (2.0, 2.0, 0.0)),
    ("slic_compactness", 0.0),
    ("labelled_fraction", 1.1),
    ("labelled_fraction", -0.1),
    ("labelled_fraction", float("nan")),
    ("labelled_cases", -1),
    ("labelled_cases", 2.0),
    ("labelled_cases", True),
    ("labelled_draw", -1),
    ("labelled_draw", None),
    ("labelled_share", 0.0),
    ("labelled_share", 1.1),
    ("labelled_share", float("nan")),
    ("labelled_share", "half"),
    ("target_dice", 0.0),
    ("target_dice", 1.1),
    ("target_dice", "high"),
    ("augment", "often"),
    ("extension", (5, 1)),
    ("extension", (-1, 5)),
    ("extension", (1,)),
    ("extension", 5),
    ("evaluation_extension", -1),
    ("evaluation_extension", 1.5),
    ("rotation", -1.0),
    ("rotation", 181.0),
    ("rotation", None),
    ("intensity_clip", 0.0),
    ("clicks", ((0, 1), 5, 5, 5, (2, 1))),
    ("clicks", ((0, 1, 2), 5, 5, 5, 5)),
    ("clicks", ((-1, 1), 5, 5, 5, 5)),
    ("protocol", "cvpr24"),
    ("protocol", ["paper"]),
    ("signed", 1),
    ("box", "tight"),
    ("box", ["label"]),
    ("box", {"label": 0.0}),
    ("box", {"label": -1.0, "none": 2.0}),
    ("box", {"label": 0.5, "tight": 0.5}),
    ("crop", "organ"),
    ("crop", {"box": float("nan")}),
    ("start", "zero"),
    ("start", {}),
    ("start", {"mask": "often"}),
    ("time", None),
    ("box_jitter", 0.5),
    ("box_jitter", -0.1),
    ("click_side", (90.0, 40.0)),
    ("click_side", (0.0, 40.0)),
    ("click_side", 40.0),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={value!r}" for name, value in BAD])
def test_a_bad_setting_is_named_with_what_was_expected_and_given(name: str, value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        EnvConfig(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: expected ")
    assert message.endswith(f"got {value!r}")


def test_a_horizon_of_any_integer_type_cuts_a_protocols_clicks() -> None:
    assert EnvConfig(protocol="cvpr25", horizon=np.int64(3)) == EnvConfig(protocol="cvpr25", horizon=3)


def test_a_number_and_a_share_of_labelled_cases_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^labelled_cases, labelled_fraction: expected one of them, got 4 and 0\.5$"):
        EnvConfig(labelled_cases=4, labelled_fraction=0.5)
    assert EnvConfig(labelled_cases=4, labelled_fraction=1.0).labelled_cases == 4


@pytest.mark.parametrize(
    ("settings", "some"),
    [
        ({}, False),
        ({"labelled_fraction": 0.5}, True),
        ({"labelled_cases": 4}, True),
        ({"labelled_cases": 0}, True),
        ({"labelled_cases": 4, **ALL_LABELLED}, False),
        ({"labelled_draw": 3}, False),
    ],
)
def test_which_settings_leave_cases_unlabelled(settings: dict[str, Any], some: bool) -> None:
    EnvConfig(**settings)
    assert some_unlabelled(settings) is some


def test_every_setting_of_a_number_or_sequence_has_a_bad_value_above() -> None:
    free = {"reward", "user", "hint"}  # names or objects, read where they are used
    assert {name for name, _ in BAD} | free == set(EnvConfig.__dataclass_fields__)


@pytest.mark.parametrize(("horizon", "clicks"), [(1, (25,)), (3, (25, 5, 5)), (7, (25, 5, 5, 5, 5, 5, 5))])
def test_clicks_follow_the_horizon(horizon: int, clicks: tuple[int, ...]) -> None:
    assert EnvConfig(horizon=horizon).clicks == clicks


@pytest.mark.parametrize(
    ("horizon", "clicks", "supervoxels"),
    [(5, (6, 3, 2, 2, 2), (9, 8, 7, 7, 7)), (1, (6,), (9,)), (3, (6, 3, 2), (9, 8, 7))],
)
def test_numbers_for_each_step_go_on_with_the_last_one(
    horizon: int, clicks: tuple[int, ...], supervoxels: tuple[int, ...]
) -> None:
    given = {"horizon": 3, "clicks": (6, 3, 2), "supervoxels": [9, 8, 7], "epsilon": 0.02}
    config = EnvConfig(**with_horizon(given, horizon))
    assert (config.horizon, config.clicks, config.supervoxels) == (horizon, clicks, supervoxels)
    assert config.epsilon == 0.02 and given["horizon"] == 3
    assert EnvConfig(**with_horizon({"clicks": None}, horizon)) == EnvConfig(horizon=horizon)
    with pytest.raises(ValueError, match="horizon: expected"):
        with_horizon(given, 0)


@pytest.mark.parametrize("horizon", [1, 5, 12])
def test_supervoxels_decline_with_the_steps(horizon: int) -> None:
    counts = EnvConfig(horizon=horizon).supervoxels
    assert counts is not None and len(counts) == horizon and counts[0] == 100
    assert all(a >= b >= 20 for a, b in zip(counts, counts[1:], strict=False))


def test_numpy_numbers_and_lists_are_taken_as_they_are() -> None:
    config = EnvConfig(shape=[np.int64(16), 14, 12], horizon=np.int64(2), clicks=np.array([3, 1]))  # type: ignore[arg-type]
    assert config == EnvConfig(shape=(16, 14, 12), horizon=2, clicks=(3, 1))
    assert hash(config) == hash(EnvConfig(shape=(16, 14, 12), horizon=2, clicks=(3, 1)))
    assert all(type(n) is int for n in (*config.shape, config.horizon, *(config.clicks or ())))


@pytest.mark.parametrize(
    ("adjustments", "lattice"),
    [
        ((-0.4, -0.2, -0.1, 0.1, 0.2, 0.4), 10),
        ((-0.5, 0.5), 2),
        ((-1.0, 1.0), 2),
        ((-0.25, 0.1), 20),
        ((0.001,), 1000),
    ],
)
def test_lattice_holds_a_half_and_every_adjustment(adjustments: tuple[float, ...], lattice: int) -> None:
    assert EnvConfig(adjustments=adjustments).lattice == lattice
