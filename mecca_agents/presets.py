"""Settings of a training run by family, and the named sets of them. A preset is data: it is stored with every run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import inf
from operator import index
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from mecca_env.process.protocols import PROTOCOLS

Credit = Literal["voxel", "mean"]
Precision = Literal["float32", "bf16"]
PolicyHead = Literal["actions", "target"]
NetworkKind = Literal["pnet", "unet"]
ConfidenceHead = Literal["signed", "action"]
RewardWeight = Literal["voxel", "action"]


class _Rule(NamedTuple):
    """A test of what a setting has to be, and the same in words."""

    holds: Callable[[Any], bool]
    expected: str


def _is_count(value: Any) -> bool:
    return not isinstance(value, bool) and index(value) >= 1


def _one_of(kind: Any) -> _Rule:
    return _Rule(lambda v: v in get_args(kind), f"one of {', '.join(get_args(kind))}")


def _pair(least: float, most: float) -> _Rule:
    expected = f"two numbers from {least:g} to {most:g}"
    return _Rule(lambda v: len(v) == 2 and all(least <= x <= most for x in v), expected)


_COUNT = _Rule(_is_count, "an integer of at least 1")
_COUNT_OR_NONE = _Rule(lambda v: v is None or _is_count(v), "None or an integer of at least 1")
_COUNTS = _Rule(lambda v: len(v) > 0 and all(_is_count(d) for d in v), "integers of at least 1")
_POSITIVE = _Rule(lambda v: 0 < v < inf, "a number above 0")
_NOT_NEGATIVE = _Rule(lambda v: 0 <= v < inf, "a number of at least 0")
_SHARE = _Rule(lambda v: 0 <= v <= 1, "a number from 0 to 1")
_SHARE_ABOVE_0 = _Rule(lambda v: 0 < v <= 1, "a number above 0 and up to 1")
_SHARE_BETWEEN = _Rule(lambda v: 0 < v < 1, "a number between 0 and 1")
_SWITCH = _Rule(lambda v: isinstance(v, bool), "True or False")


def _setting(default: Any, rule: _Rule) -> Any:
    """A field of a family, and what it has to be."""
    return dataclasses.field(default=default, metadata={"rule": rule})


class _Settings:
    """A family of settings, each checked by its rule."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # those that inherit from this are dataclasses
            if "rule" not in field.metadata:
                continue
            value, rule = getattr(self, field.name), field.metadata["rule"]
            try:
                fits = rule.holds(value)
            except TypeError:  # not even of a type that can be compared
                fits = False
            if not fits:
                raise ValueError(f"{field.name}: expected {rule.expected}, got {value!r}")


@dataclass(frozen=True)
class NetworkSettings(_Settings):
    """Networks, and how they are computed.

    Attributes:
        network: "pnet", the paper's (Fig. 4), or "unet", which passes a volume several times as fast.
        channels: Channels on the full grid.
        dilations: Dilations of P-Net's blocks.
        shared_blocks: Blocks of P-Net that policy and value share; each has the others to itself (Sec. 3.2).
        levels: Coarser grids of U-Net, each half as fine as the one before.
        evidence: Whether networks that see prompts are also told, for every voxel, how usual its intensity is among
            what is marked as target and as background, and whether it is nearer to the one or to the other on paths
            that shun edges; and are pulled to the sides of signed clicks (`networks.evidence`).
        precision: "float32", or "bf16" for convolutions in bfloat16 (autocast), on a GPU; a CPU refuses to train so,
            and acts in float32.
        compile: Compile the networks (`torch.compile`) on a GPU, which needs Triton and takes a minute at the start;
            a CPU refuses to train so, and acts without.
        chunk: How many volumes' activations are held at a time, to save memory: an update plays a volume for each step
            of an episode, and with this computes the others' again when their gradients are due. None holds all.
    """

    network: NetworkKind = _setting("pnet", _one_of(NetworkKind))
    channels: int = _setting(64, _COUNT)
    dilations: tuple[int, ...] = _setting((1, 2, 3, 4, 5), _COUNTS)
    shared_blocks: int = _setting(3, _COUNT)
    levels: int = _setting(3, _Rule(lambda v: _is_count(v) and v > 1, "an integer of at least 2"))
    evidence: bool = _setting(False, _SWITCH)
    precision: Precision = _setting("float32", _one_of(Precision))
    compile: bool = _setting(False, _SWITCH)
    chunk: int | None = _setting(None, _COUNT_OR_NONE)


@dataclass(frozen=True)
class ActorCriticSettings(_Settings):
    """Actor and critic of every voxel, in all methods that act by adjustments.

    Attributes:
        policy_head: What the policy's branch gives for each voxel: "actions", a logit for every action, or "target",
            the probability to go to and how exactly, from which the actions follow (`distributions.target_policy`):
            so the network need not learn how actions and the present probability add up.
        policy_rate: Learning rate of the policy's own layers as a share of the others', since "the policy head is
            updated more slowly" (Sec. 3.2).
        gamma: Discount (Sec. 4.1).
        gae_lambda: Lambda of generalised advantage estimation. 1 takes all rewards to the end of the episode (Eq. 3),
            and 0 the next one and the value of the state after it. Without effect on A2C with `n_steps=1`.
        entropy_weight: Weight of the entropy bonus.
        value_weight: Weight of the critic's loss.
        credit: "voxel" pays every voxel its own reward, "mean" pays all the mean (Eq. 4).
        balance: How far the rarer of foreground and background is weighted up (`a2c.class_weights`), 0 to 1, at the
            start and, after a linear fall, from `balance_settles` on.
        balance_settles: Share of the training after which these weights stay as they are. Where the target is small,
            lowering every probability pays at once, and a policy that has learned to do so explores no longer. Weights
            at the start avoid that; keeping them up would make the target come out too large.
    """

    policy_head: PolicyHead = _setting("actions", _one_of(PolicyHead))
    policy_rate: float = _setting(1.0, _POSITIVE)
    gamma: float = _setting(0.95, _SHARE)
    gae_lambda: float = _setting(1.0, _SHARE)
    entropy_weight: float = _setting(0.01, _NOT_NEGATIVE)
    value_weight: float = _setting(0.5, _NOT_NEGATIVE)
    credit: Credit = _setting("voxel", _one_of(Credit))
    balance: tuple[float, float] = _setting((0.0, 0.0), _pair(0, 1))
    balance_settles: float = _setting(0.5, _SHARE_ABOVE_0)


@dataclass(frozen=True)
class MaskSettings(_Settings):
    """Methods that predict a mask.

    Attributes:
        overlap_weight: Weight of the soft Dice loss (Milletari et al., 2016) beside the cross-entropy.
    """

    overlap_weight: float = _setting(0.0, _NOT_NEGATIVE)


@dataclass(frozen=True)
class PPOSettings(_Settings):
    """PPO's own.

    Attributes:
        clip_ratio: How far the probability of a voxel's action may move in one update, as a share of it, before there
            is nothing more to gain.
        epochs: How often an update goes over its episodes.
    """

    clip_ratio: float = _setting(0.2, _SHARE_BETWEEN)
    epochs: int = _setting(4, _COUNT)


@dataclass(frozen=True)
class MeccaSettings(_Settings):
    """MECCA's own: its mechanisms and the confidence network.

    Attributes:
        self_adaptive_reward: Weigh the reward by confidence (Eq. 8).
        interaction_guide: Show the user where confidence is low (Sec. 3.5).
        simulated_labels: Learn from unlabelled cases, too (Sec. 3.6), where there are any.
        alpha: Factor of Eq. 8 (Sec. 4.1).
        beta: Exponent of Eq. 8 (Sec. 4.1).
        reward_weight: Whose confidence c of Eq. 8 is. "action": that of the action which earns the reward, as printed.
            Since C(s, a) + C(s, -a) = 1 (Eq. 6), what a voxel is then pushed by, over both directions, is the same
            whether it is sure or not. "voxel": one weight for a voxel, the confidence in the direction that the policy
            leans to, so that doubtful voxels weigh more.
        delta: Least certainty of a simulated label that is learned from (Eq. 11), at the start and at the end of the
            training (Sec. 4.1).
        simulated_from: Share of the training before which nothing is learned from simulated labels: M of Eq. 11 is 0,
            since the confidence network knows nothing yet.
        confidence_head: "signed": the logit of C(s, a) is f(s, |a|) with the sign of a, so that C(s, a) + C(s, -a) = 1,
            as Eq. 6 asks for, and f only has to see what the label is. "action": the network sees a and has to learn
            that exclusive-or (Sec. 3.3).
        confidence_channels: Channels of the confidence network; None: `channels`, those of the policy's.
        confidence_balance: How far the rarer of foreground and background is weighted up in Eq. 6, as `balance` does it
            in the other losses, but throughout.
        confidence_steps: How many steps of each episode, drawn anew, the confidence network learns from; None takes all
            (Algorithm 1).
    """

    self_adaptive_reward: bool = _setting(True, _SWITCH)
    interaction_guide: bool = _setting(True, _SWITCH)
    simulated_labels: bool = _setting(True, _SWITCH)
    alpha: float = _setting(0.8, _POSITIVE)
    beta: float = _setting(1.0, _NOT_NEGATIVE)
    reward_weight: RewardWeight = _setting("voxel", _one_of(RewardWeight))
    delta: tuple[float, float] = _setting((0.85, 0.99), _pair(0.5, 1))
    simulated_from: float = _setting(0.0, _SHARE)
    confidence_head: ConfidenceHead = _setting("signed", _one_of(ConfidenceHead))
    confidence_channels: int | None = _setting(None, _COUNT_OR_NONE)
    confidence_balance: float = _setting(0.0, _SHARE)
    confidence_steps: int | None = _setting(None, _COUNT_OR_NONE)


@dataclass(frozen=True)
class Preset(_Settings):
    """The settings of a training: what every run has, and families of which a method takes those that concern it.

    The families are `network`, `actor_critic`, `mecca`, `ppo` and `mask`: `preset.actor_critic.gamma` is the discount.
    The name of a setting is unique among all of them, so `preset.replace(gamma=0.9, updates=30)`, the command line and
    the files of a run do without the family.

    Attributes:
        shape: Grid of the episodes, (D, H, W) voxels.
        num_envs: Labelled episodes side by side; methods that learn from unlabelled ones, too, play those besides
            (`Agent.num_envs`).
        updates: Batches of whole episodes that are learned from, one after another.
        n_steps: Steps of these episodes that an optimiser step is taken after; None: all of them. A divisor of the
            horizon. Actor-critics take the critic's word for what comes later (n-step A2C; Algorithm 1 computes
            gradients at every step). PPO plays whole episodes and then learns from so many of their steps at a time.
        learning_rate: Adam's, at the start.
        final_learning_rate: Share of it that is left at the end of a linear decay; 1 keeps it.
        usual_protocol: Whose prompts a training has where none are asked for (`mecca_env.process.protocols`).
        clip_norm: Gradients are scaled down to this norm at most.
        labelled_share: Share of the episodes that are of labelled cases, for methods that learn from both kinds (MECCA
            with simulated labels, UA-MT); a half is Algorithm 1.

    Raises:
        ValueError: A setting is out of range; the message names it, what was expected and what was given.
    """

    shape: tuple[int, int, int] = (55, 55, 30)  # checked by `EnvConfig`
    num_envs: int = _setting(4, _COUNT)
    updates: int = _setting(20_000, _COUNT)
    n_steps: int | None = _setting(None, _COUNT_OR_NONE)
    learning_rate: float = _setting(1e-4, _POSITIVE)
    final_learning_rate: float = _setting(1.0, _SHARE)
    clip_norm: float = _setting(10.0, _POSITIVE)
    labelled_share: float = _setting(0.5, _SHARE_BETWEEN)
    usual_protocol: str = _setting("paper", _Rule(lambda v: v in PROTOCOLS, f"one of {', '.join(PROTOCOLS)}"))
    network: NetworkSettings = NetworkSettings()
    actor_critic: ActorCriticSettings = ActorCriticSettings()
    mecca: MeccaSettings = MeccaSettings()
    ppo: PPOSettings = PPOSettings()
    mask: MaskSettings = MaskSettings()

    def flat(self) -> dict[str, Any]:
        """Every setting of all families by its name; `Preset().replace(**flat)` is the way back."""
        return {name: getattr(getattr(self, family) if family else self, name) for name, family in FAMILIES.items()}

    def replace(self, **settings: Any) -> Preset:
        """The same with other values of some settings, of whichever families they are.

        Args:
            **settings: Values by the names of settings: `preset.replace(updates=30, interaction_guide=False)`.

        Raises:
            TypeError: A name is no setting's.
            ValueError: A setting is out of range.
        """
        unknown = [name for name in settings if name not in FAMILIES]
        if unknown:
            raise TypeError(f"preset: expected settings among {', '.join(FAMILIES)}, got {', '.join(unknown)}")
        changes: dict[str, dict[str, Any]] = {}
        for name, value in settings.items():
            changes.setdefault(FAMILIES[name], {})[name] = value
        own = changes.pop("", {})
        changed = {family: dataclasses.replace(getattr(self, family), **given) for family, given in changes.items()}
        return dataclasses.replace(self, **own, **changed)


def _families() -> dict[str, str]:
    found: dict[str, str] = {}
    for field in fields(Preset):
        inner = fields(field.default) if isinstance(field.default, _Settings) else ()  # type: ignore[arg-type]
        found |= {setting.name: field.name for setting in inner} or {field.name: ""}
    return found


FAMILIES: dict[str, str] = _families()
"""The family of every setting by its name: the attribute of `Preset`, or "" for what every run has."""

LATER = ("network", "levels", "evidence", "overlap_weight", "usual_protocol")
"""Settings that files of older runs lack; their trainings had the defaults."""


PAPER = Preset().replace(confidence_head="action", reward_weight="action")
"""To the letter of Sec. 4.1: grid, learning rate, discount, alpha, beta and delta are the paper's, the entropy weight
PixelRL's; falls to background in our trials. The paper gives neither channels nor batch nor number of updates."""

MECHANISMS: Mapping[str, bool] = MappingProxyType(
    {"self_adaptive_reward": True, "interaction_guide": True, "simulated_labels": True}
)
"""MECCA's mechanisms, all of them on, as in the paper."""

FAST = Preset().replace(
    **dict.fromkeys(MECHANISMS, False),  # none of them gained anything in five minutes of training: docs/choices.md
    shape=(28, 24, 24),
    num_envs=2,
    updates=800,
    n_steps=1,
    channels=16,
    dilations=(1, 2, 3),
    confidence_balance=0.5,
    simulated_from=0.25,
    learning_rate=2e-3,
    final_learning_rate=0.1,
    policy_head="target",
    gae_lambda=0.5,
    entropy_weight=1e-3,
    value_weight=0.05,
    balance=(0.5, 0.0),
    balance_settles=0.3,
    epochs=1,
)
"""Trains well on two cores within 20 minutes; departs from `PAPER` in everything that it sets. MECCA without its
mechanisms is IteR-MRL; `FAST.replace(**MECHANISMS)` turns them on."""

BRIEF = FAST.replace(updates=300)
"""The same in less than 5 minutes, for tables on a CPU."""

PAPER_GRID = BRIEF.replace(shape=Preset().shape, dilations=Preset().network.dilations)
"""The paper's grid and dilations, with 16 channels and what makes `BRIEF` learn; no training of it is measured yet."""

GENERAL = FAST.replace(
    shape=(32, 32, 32),
    num_envs=4,
    updates=1800,
    final_learning_rate=0.02,
    network="unet",
    evidence=True,
    overlap_weight=1.0,
    usual_protocol="mixed",
)
"""For an agent of any organ: every kind of prompt, a network that is quick, and that is told what prompts say."""

ONLINE = GENERAL.replace(
    num_envs=2,
    updates=2000,
    learning_rate=1e-3,
    final_learning_rate=0.1,
    balance=(0.0, 0.0),  # a policy that has learned does not fall to background, and weights would make masks larger
)
"""For `mecca learn`, which takes its steps alone: half the length of the others', the networks being the run's own."""

DEMO = FAST.replace(**MECHANISMS, shape=(24, 24, 16), num_envs=4, updates=120, channels=12)
"""For `mecca demo`: learns the phantom in a minute on two quick cores, in four on slow ones, and shows all of MECCA."""

PRESETS: dict[str, Preset] = {
    "paper": PAPER,
    "paper-grid": PAPER_GRID,
    "fast": FAST,
    "brief": BRIEF,
    "general": GENERAL,
    "online": ONLINE,
    "demo": DEMO,
}
"""Every preset by name."""

PURPOSES: dict[str, str] = {
    "paper": "to the letter of Sec. 4.1; falls to background in our trials",
    "paper-grid": "the paper's grid with what makes brief learn; no training of it is measured yet",
    "fast": "trains well on two cores within 20 minutes",
    "brief": "the same in less than 5 minutes",
    "general": "an agent for any organ and all prompts, such as the one that comes with the package",
    "online": "the smaller steps with which a run goes on learning from accepted scans",
    "demo": "learns the phantom in a minute or two",
}
"""What each preset is for."""


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises `ValueError` with the known names otherwise."""
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
