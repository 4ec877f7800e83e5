"""Every number of the decision process, once, with the place in the paper (Shen et al., 2023) it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import wraps
from math import inf, lcm
from operator import index
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mecca_env.process.choices import read_choice
from mecca_env.process.protocols import continued, with_protocol

if TYPE_CHECKING:
    from mecca_env.process.contracts import Hint, Reward, SimulatedUser

MIN_SIDE = 8
"""Smallest side of a grid, in voxels: below it a click's Gaussian covers the grid and SLIC has nothing to divide."""

PAPER_CLICKS = (25, 5, 5, 5, 5)
"""Clicks before each of the five steps (Sec. 4.3): 45 in all. Longer horizons repeat the last number."""

PER_STEP = ("clicks", "supervoxels")
"""The settings with one number for each step of an episode."""

BOXES = ("none", "label", "middle-slice")
CROPS = ("label", "box", "click", "scan")
STARTS = ("half", "mask")

ActionKind = Literal["discrete", "continuous"]
Shape = tuple[int, int, int]
Count: TypeAlias = int | tuple[int, int]
"""A number, or the least and the most of those that an episode draws from."""
Choice: TypeAlias = str | Mapping[str, float]
"""A name, or several with weights, of which every episode draws one."""


@dataclass(frozen=True)
class EnvConfig:
    """Settings of the decision process, the same for every data set; validated on construction.

    Attributes:
        shape: Grid of an episode, (D, H, W) voxels, along the scan's own three axes; slices last (Sec. 4.1).
        horizon: T, steps per episode (Sec. 4.1).
        clicks: Clicks the user may make before each step, one number per step (Sec. 4.3), or a pair (least, most) from
            which every episode draws its own; None takes the paper's.
        adjustments: What each discrete action adds to the probability (Sec. 3.2); multiples of 0.001.
        action: "discrete" picks one of `adjustments` for each voxel; "continuous" adds a value in [-1, 1].
        reward: "gain" (Eq. 9), "focal" (Eq. 12-13), "error" (Eq. 14), "boundary" (`process.boundary`) or a function
            (`mecca_env.process.contracts.Reward`).
        user: "edge", "edges" (several at once), "guided", "imprecise", "region-centre", "largest-error",
            "random-error", "scribble", "none", a `mecca_env.process.contracts.SimulatedUser`, or a mapping of such to
            weights: each episode draws its own.
        hint: "gaussian", "edt", "euclidean", "geodesic", "supervoxel" or a `mecca_env.process.contracts.Hint`.
        hint_sigma: Standard deviation of a click's Gaussian, voxels. The paper gives only the kernel (Sec. 4.2).
        hint_radius: The Gaussian's window reaches this many voxels to either side at most (Sec. 4.2); "edt" hints fall
            to 0 at this distance.
        epsilon: Probabilities are clamped to [epsilon, 1 - epsilon] inside the cross-entropy of Eq. 9, which is
            infinite at 0 and 1 as printed.
        error_weight: lambda of Eq. 14, the extra weight of voxels that were misclassified before the action.
        boundary_weight: Extra weight of the gain at the label's surface; ours, this paper has no such reward.
        boundary_sigma: How fast that falls with the distance from the surface, as a Gaussian, voxels; ours too.
        wrong_way: A voxel counts as misunderstood when it moved the wrong way by more than this (Definition 1).
        guide: The action carries a confidence map and the user is shown where it is low (Sec. 3.5).
        supervoxels: Number of supervoxels of a case before each step, one per step; None declines from 100 (Sec. 3.5).
            Made where something needs them: a guide or supervoxel hints.
        advised: Number of least confident supervoxels shown to the user (Sec. 3.5).
        slic_spacing: Voxel spacing SLIC is told (Sec. 3.5).
        slic_compactness: SLIC's compactness (Sec. 3.5).
        labelled_fraction: Share of the cases whose labels give rewards (Sec. 3.6).
        labelled_cases: Exactly so many of the cases are labelled; None: `labelled_fraction` says how many.
        labelled_draw: Which draw of the labelled cases; with one draw, those of a smaller number or share are among
            those of a larger one.
        labelled_share: Share of the episodes that are of labelled cases, since Algorithm 1 plays labelled and
            unlabelled ones side by side (Sec. 3.6); None takes cases as they come; 1 plays only labelled ones.
        target_dice: Dice at which an episode of a labelled case ends early, or None.
        augment: Random crops, flips and rotations (Sec. 4.1); None: only for the training split.
        extension: Least and most voxels a training crop extends beyond the label on each side (Sec. 4.1).
        evaluation_extension: The same, fixed, without augmentation: the middle of `extension`.
        rotation: Largest rotation about the slice axis in training, degrees.
        intensity_clip: z-scored intensities are clipped to plus and minus this.
        protocol: A name in `mecca_env.process.protocols.PROTOCOLS`, whose settings hold where no others are given.
        signed: Whether hints tell clicks inside the target from clicks outside of it: two maps in place of one.
        box: Whether a box is shown in the observation: "none", the "label"'s, in training moved and scaled a little,
            or "middle-slice", its 2-D box on the middle slice and the range of slices; or a mapping of them to weights.
        crop: What an episode shows of a scan: the "label"'s box and a margin (Sec. 4.1), that of the "box", a cube
            around the first "click", or the whole "scan"; or a mapping of them to weights.
        box_jitter: In training each face of a shown box lies off by up to this share of the box's side.
        click_side: Least and most side of the cube around a first click, millimetres; drawn in training, evenly on a
            logarithmic scale, of which an evaluation takes the middle.
        start: The probabilities that an episode begins with: a "half" (Sec. 4.3), or a "mask", the label with some
            damage; or a mapping of them to weights.
        time: Whether the observation has the share of the episode that is left.

    Raises:
        ValueError: A setting is out of range; the message names it, what was expected and what was given.
    """

    shape: Shape = (55, 55, 30)
    horizon: int = 5
    clicks: tuple[Count, ...] | None = None
    adjustments: tuple[float, ...] = (-0.4, -0.2, -0.1, 0.1, 0.2, 0.4)
    action: ActionKind = "discrete"
    reward: str | Reward = "gain"
    user: str | SimulatedUser | Mapping[str | SimulatedUser, float] = "edge"
    hint: str | Hint = "gaussian"
    hint_sigma: float = 2.0
    hint_radius: int = 8
    epsilon: float = 0.01
    error_weight: float = 1.0
    boundary_weight: float = 1.0
    boundary_sigma: float = 2.0
    wrong_way: float = 0.05
    guide: bool = False
    supervoxels: tuple[int, ...] | None = None
    advised: int = 5
    slic_spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)
    slic_compactness: float = 0.1
    labelled_fraction: float = 1.0
    labelled_cases: int | None = None
    labelled_draw: int = 0
    labelled_share: float | None = None
    target_dice: float | None = None
    augment: bool | None = None
    extension: tuple[int, int] = (1, 11)
    evaluation_extension: int = 6
    rotation: float = 15.0
    intensity_clip: float = 5.0
    protocol: str = "paper"
    signed: bool = False
    box: Choice = "none"
    crop: Choice = "label"
    box_jitter: float = 0.1
    click_side: tuple[float, float] = (48.0, 192.0)
    start: Choice = "half"
    time: bool = False

    def __post_init__(self) -> None:
        shape = _integers("shape", self.shape, least=MIN_SIDE)
        if len(shape) != 3:
            raise ValueError(f"shape: expected three sides (D, H, W), got {self.shape!r}")
        if isinstance(self.horizon, bool) or not hasattr(self.horizon, "__index__") or self.horizon < 1:
            raise ValueError(f"horizon: expected an integer of at least 1, got {self.horizon!r}")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "horizon", index(self.horizon))
        object.__setattr__(self, "clicks", self._checked_clicks())
        object.__setattr__(
            self, "supervoxels", self._per_step("supervoxels", self.supervoxels, _declining(self.horizon), least=1)
        )
        object.__setattr__(self, "adjustments", self._checked_adjustments())
        if self.action not in ("discrete", "continuous"):
            raise ValueError(f"action: expected 'discrete' or 'continuous', got {self.action!r}")
        self._check_ranges()
        self._check_choices()
        if self.labelled_cases is not None and self.labelled_fraction < 1:
            raise ValueError(
                "labelled_cases, labelled_fraction: expected one of them, "
                f"got {self.labelled_cases!r} and {self.labelled_fraction!r}"
            )
        for name in ("slic_spacing", "extension", "click_side"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def lattice(self) -> int:
        """The number n such that every reachable probability is k / n: 10 for the paper's adjustments of tenths.

        Discrete probabilities are kept on this lattice, so that 0.5 + 0.1 - 0.1 is 0.5 again and not the next float
        above it, which would count as foreground.
        """
        return lcm(2, *(Fraction(str(a)).limit_denominator(1000).denominator for a in self.adjustments))

    @property
    def click_ranges(self) -> tuple[tuple[int, int], ...]:
        """Least and most clicks before each step."""
        return tuple((count, count) if isinstance(count, int) else count for count in self.clicks or ())

    @property
    def total_clicks(self) -> int:
        """The most clicks one episode can hold, a scribble counted as one."""
        return sum(most for _, most in self.click_ranges)

    @property
    def of_cases(self) -> dict[str, Any]:
        """The settings that the choice and the preparation of cases take (`mecca_env.data.selection.open_cases`)."""
        labelled = ("labelled_fraction", "labelled_cases", "labelled_draw")
        named = ("extension", "rotation", "evaluation_extension", *labelled)
        return {name: getattr(self, name) for name in named} | {"whole": self.needs_whole_scans}

    @property
    def needs_whole_scans(self) -> bool:
        """True where an episode may show, or ask for, more than lies around the label."""
        crops, boxes = read_choice("crop", self.crop, CROPS), read_choice("box", self.box, BOXES)
        return set(crops) != {"label"} or "middle-slice" in boxes

    @property
    def shows_box(self) -> bool:
        """True where observations have a box, if only in some episodes."""
        return set(read_choice("box", self.box, BOXES)) != {"none"}

    @property
    def needs_regions(self) -> bool:
        """True where episodes come with supervoxels."""
        return self.guide or self.hint == "supervoxel"

    def _per_step(
        self, name: str, given: Sequence[int] | None, default: tuple[int, ...], least: int
    ) -> tuple[int, ...]:
        if given is None:
            return default
        values = _integers(name, given, least)
        self._check_length(name, values, given)
        return values

    def _check_length(self, name: str, values: Sequence[Any], given: Any) -> None:
        if len(values) != self.horizon:
            raise ValueError(f"{name}: expected one number for each of the {self.horizon} steps, got {given!r}")

    def _checked_clicks(self) -> tuple[Count, ...]:
        given = continued(PAPER_CLICKS, self.horizon) if self.clicks is None else self.clicks
        try:
            pairs = [tuple(c) if isinstance(c, Sequence) else (c, c) for c in given]
            ends = [end for pair in pairs for end in pair]
        except TypeError:
            pairs, ends = [], [-1]
        if all(len(pair) == 2 for pair in pairs):
            values = _integers("clicks", ends, least=0, given=given)
            self._check_length("clicks", pairs, given)
            ranges = list(zip(values[::2], values[1::2], strict=True))
            if all(least <= most for least, most in ranges):
                return tuple(least if least == most else (least, most) for least, most in ranges)
        raise ValueError(f"clicks: expected integers, or pairs (least, most), got {given!r}")

    def _check_choices(self) -> None:
        for name, known in (("box", BOXES), ("crop", CROPS), ("start", STARTS)):
            given = getattr(self, name)
            read_choice(name, given, known)
            if isinstance(given, Mapping):
                object.__setattr__(self, name, dict(given))
        if isinstance(self.user, Mapping):
            read_choice("user", self.user, None)
            object.__setattr__(self, "user", dict(self.user))
        if "mask" in read_choice("start", self.start, STARTS) and some_unlabelled(vars(self)):
            raise ValueError(f"start: expected 'half' where cases have no labels to make masks of, got {self.start!r}")
        if "click" in read_choice("crop", self.crop, CROPS) and not self.click_ranges[0][1]:
            raise ValueError("crop: expected a first click for crop='click', got clicks that begin with 0")

    def _checked_adjustments(self) -> tuple[float, ...]:
        try:
            values = tuple(float(a) for a in self.adjustments)
        except (TypeError, ValueError):
            values = ()
        on_lattice = all(0 < abs(a) <= 1 and abs(a * 1000 - round(a * 1000)) < 1e-6 for a in values)
        if not values or len(set(values)) != len(values) or not on_lattice or len(values) > 255:
            raise ValueError(
                f"adjustments: expected distinct non-zero multiples of 0.001 in [-1, 1], got {self.adjustments!r}"
            )
        return values

    def _check_ranges(self) -> None:
        rules: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
            ("hint_sigma", lambda v: 1e-99 <= v <= 1e99, "a number in [1e-99, 1e99]"),  # so that it can be squared
            ("hint_radius", lambda v: index(v) >= 1, "an integer of at least 1"),
            ("epsilon", lambda v: 0 < v < 0.5, "a number between 0 and 0.5"),
            ("error_weight", lambda v: 0 <= v < inf, "a number of at least 0"),
            ("boundary_weight", lambda v: 0 <= v < inf, "a number of at least 0"),
            ("boundary_sigma", lambda v: 0 < v < inf, "a number above 0"),
            ("wrong_way", lambda v: 0 <= v < 1, "a number in [0, 1)"),
            ("guide", lambda v: isinstance(v, bool), "True or False"),
            ("advised", lambda v: index(v) >= 1, "an integer of at least 1"),
            ("slic_spacing", lambda v: len(v) == 3 and all(0 < x < inf for x in v), "three numbers above 0"),
            ("slic_compactness", lambda v: 0 < v < inf, "a number above 0"),
            ("labelled_fraction", lambda v: 0 <= v <= 1, "a number in [0, 1]"),
            ("labelled_cases", lambda v: v is None or _whole(v), "None or an integer of at least 0"),
            ("labelled_draw", lambda v: _whole(v), "an integer of at least 0"),
            ("labelled_share", lambda v: v is None or 0 < v <= 1, "None or a number in (0, 1]"),
            ("target_dice", lambda v: v is None or 0 < v <= 1, "None or a number in (0, 1]"),
            ("augment", lambda v: v is None or isinstance(v, bool), "None, True or False"),
            ("extension", lambda v: len(v) == 2 and 0 <= index(v[0]) <= index(v[1]), "integers 0 <= least <= most"),
            ("evaluation_extension", lambda v: index(v) >= 0, "an integer of at least 0"),
            ("rotation", lambda v: 0 <= v <= 180, "degrees in [0, 180]"),
            ("intensity_clip", lambda v: 0 < v < inf, "a number above 0"),
            ("signed", lambda v: isinstance(v, bool), "True or False"),
            ("box_jitter", lambda v: 0 <= v < 0.5, "a number in [0, 0.5)"),
            ("click_side", lambda v: len(v) == 2 and 0 < v[0] <= v[1] < inf, "two numbers 0 < least <= most"),
            ("time", lambda v: isinstance(v, bool), "True or False"),
        )
        for name, holds, expected in rules:
            value = getattr(self, name)
            try:
                fits = holds(value)
            except TypeError:  # not even of a type that can be compared
                fits = False
            if not fits:
                raise ValueError(f"{name}: expected {expected}, got {value!r}")


def _completed(make: Callable[..., None]) -> Callable[..., None]:
    """The constructor, with the settings of the protocol where no others are given."""

    @wraps(make)
    def made(self: EnvConfig, *settings: Any, **named: Any) -> None:
        given = dict(zip(EnvConfig.__dataclass_fields__, settings, strict=False)) | named
        make(self, **with_protocol(given))

    return made


EnvConfig.__init__ = _completed(EnvConfig.__init__)  # type: ignore[method-assign]


def some_unlabelled(settings: Mapping[str, Any]) -> bool:
    """Tell whether settings ask for cases without a label: the one place that knows which of them do.

    Args:
        settings: Attributes of `EnvConfig` by name; those that are missing have their defaults.
    """
    return settings.get("labelled_cases") is not None or settings.get("labelled_fraction", 1.0) < 1.0


def with_horizon(settings: Mapping[str, Any], horizon: int) -> dict[str, Any]:
    """The settings for episodes of another length.

    Numbers that were given for each step go on with the last one, or end earlier; defaults follow the horizon anyway.

    Args:
        settings: Attributes of `EnvConfig` by name.
        horizon: Steps of an episode.

    Raises:
        ValueError: The horizon is not an integer of at least 1.
    """
    changed = {**settings, "horizon": EnvConfig(horizon=horizon).horizon}
    for name in PER_STEP:
        given = changed.get(name)
        if given is not None and len(given):
            changed[name] = continued(given, horizon)
    return changed


ALL_LABELLED: Mapping[str, Any] = MappingProxyType(
    {"labelled_fraction": 1.0, "labelled_cases": None, "labelled_draw": 0, "labelled_share": None}
)
"""The settings with which every case is labelled, whatever others say."""


def _whole(value: Any) -> bool:
    return not isinstance(value, bool) and index(value) >= 0


def _integers(name: str, values: Sequence[Any], least: int, given: Any = None) -> tuple[int, ...]:
    try:
        found = tuple(index(v) for v in values)
        fits = all(v >= least for v in found) and not any(isinstance(v, bool) for v in values)
    except TypeError:
        fits = False
    if not fits:
        shown = values if given is None else given
        raise ValueError(f"{name}: expected integers of at least {least}, got {shown!r}")
    return found


def _declining(horizon: int) -> tuple[int, ...]:
    """100 supervoxels before the first step and ten fewer before each later one, never under 20."""
    return tuple(max(100 - 10 * step, 20) for step in range(horizon))
