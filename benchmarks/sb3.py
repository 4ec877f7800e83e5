"""Time what distributions cost in an update, with one object for each voxel, as Stable-Baselines3 has it, and with one.

    python -m benchmarks.sb3                           # 55 x 55 x 30 voxels: minutes, all of them Stable-Baselines3's
    python -m benchmarks.sb3 --shape 20 20 16 --repeats 3

All have P-Net as their body and its logits of six actions for every voxel, and learn from an episode of five steps:

- stock: Stable-Baselines3's `MultiCategoricalDistribution`, one distribution for each voxel;
- A2C, `VoxelActorCriticPolicy`: one for all, whose means over voxels stock A2C learns from;
- `VoxelA2C` and `VoxelPPO`: one for all, with an advantage and, for PPO, a ratio for every voxel.

The work: in each of five steps the distribution, a sample and its log-probability; then once, for all five volumes, the
distribution, log-probability, entropy, loss, and the gradient with respect to the logits. The stock distribution's step
is timed once and counted five times. "Body": the network's passes in the same update, which are the same for all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import prod
from typing import Any, Protocol

import torch
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from torch import Tensor

from benchmarks.timing import benchmark_parser, machine, measure_and_report, median, milliseconds, wait_for
from mecca_agents.algorithms.ppo import Experience, ppo_losses
from mecca_agents.learning.a2c import weighted_losses
from mecca_agents.learning.distributions import VoxelCategorical
from mecca_agents.networks.pnet import PNet

STEPS, ACTIONS, ENTROPY_WEIGHT = 5, 6, 1e-3


class Contender(Protocol):
    """The work on the logits of N volumes, (N, A, D, H, W)."""

    def act(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities."""

    def loss(self, logits: Tensor, action: Tensor) -> Tensor:
        """The loss that an update minimises."""


class Stock:
    """Stable-Baselines3's: a sum over one distribution object for each voxel."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._distribution = MultiCategoricalDistribution([ACTIONS] * prod(shape))

    def act(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """See `Contender.act`."""
        distribution = self.of(logits)
        action = distribution.get_actions()
        return action.view(-1, *logits.shape[2:]), distribution.log_prob(action)

    def loss(self, logits: Tensor, action: Tensor) -> Tensor:
        """A2C's, by an advantage for each volume."""
        distribution = self.of(logits)
        log_prob, entropy = distribution.log_prob(action.flatten(1)), distribution.entropy()
        return -(log_prob * advantages(log_prob)).mean() - ENTROPY_WEIGHT * entropy.mean()

    def of(self, logits: Tensor) -> MultiCategoricalDistribution:
        """The distribution of these logits, which Stable-Baselines3 wants voxel by voxel."""
        return self._distribution.proba_distribution(logits.flatten(2).transpose(1, 2).flatten(1))


class OneForAll:
    """`VoxelActorCriticPolicy`, for stock A2C."""

    def act(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """See `Contender.act`."""
        policy = VoxelCategorical(logits)
        action = policy.sample()
        return action, policy.log_prob(action).flatten(1).mean(1)

    def loss(self, logits: Tensor, action: Tensor) -> Tensor:
        """A2C's, by an advantage for each volume."""
        policy = VoxelCategorical(logits)
        log_prob = policy.log_prob(action).flatten(1).mean(1)
        return -(log_prob * advantages(log_prob)).mean() - ENTROPY_WEIGHT * policy.entropy().mean()


class EveryVoxel(OneForAll):
    """`VoxelA2C` and `VoxelPPO`: an advantage for every voxel, and a ratio."""

    def __init__(self, ratio: bool) -> None:
        self._ratio = ratio

    def act(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """See `Contender.act`."""
        policy = VoxelCategorical(logits)
        action = policy.sample()
        return action, policy.log_prob(action)

    def loss(self, logits: Tensor, action: Tensor) -> Tensor:
        """Of every voxel, the critic's part on values of zero included."""
        policy = VoxelCategorical(logits)
        log_prob, entropy = policy.log_prob(action), policy.entropy()
        advantage, weight = advantages(log_prob), torch.ones_like(log_prob)
        if self._ratio:
            experience = Experience(action, log_prob.detach(), advantage, advantage, weight)
            value = torch.zeros_like(advantage)
            return ppo_losses(experience, log_prob, entropy, value, clip_ratio=0.2, entropy_weight=ENTROPY_WEIGHT).total
        gain, value = log_prob * advantage, torch.zeros_like(advantage)
        return weighted_losses(gain, entropy, value, advantage, weight, entropy_weight=ENTROPY_WEIGHT).total


def advantages(like: Tensor) -> Tensor:
    """Some numbers, as many as there are log-probabilities."""
    return torch.linspace(-1.0, 1.0, like.numel(), device=like.device).view(like.shape)


def contenders(shape: tuple[int, ...]) -> dict[str, Contender]:
    """All of them by name; the first is what the others are compared with."""
    voxels = {"VoxelA2C": EveryVoxel(False), "VoxelPPO, one epoch": EveryVoxel(True)}
    return {"stock": Stock(shape), "A2C, VoxelActorCriticPolicy": OneForAll(), **voxels}


def measure(shape: tuple[int, ...], channels: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Milliseconds of the distributions' work in an update, by contender, and of the body."""
    torch.manual_seed(0)
    body = PNet(3, {"policy": ACTIONS, "value": 1}, channels, (1, 2, 3), 3).to(device)
    inputs = torch.randn(STEPS, 3, *shape, device=device)
    with torch.no_grad():
        logits = body(inputs)["policy"].contiguous()

    def timed(work: Callable[[], Any], times: int) -> float:
        def once() -> None:
            work()
            wait_for(device)

        if times > 1:
            once()
        return median([milliseconds(once) for _ in range(times)])

    def learn(contender: Contender, action: Tensor) -> None:
        contender.loss(logits.clone().requires_grad_(), action).backward()  # type: ignore[no-untyped-call]

    def passes() -> None:
        with torch.no_grad():
            for row in inputs.split(1):
                body(row)
        outputs = body(inputs)
        (outputs["policy"].mean() + outputs["value"].mean()).backward()

    rows: dict[str, dict[str, float]] = {}
    for name, contender in contenders(shape).items():
        times = 1 if name == "stock" else repeats
        with torch.no_grad():
            act = timed(lambda c=contender: c.act(logits[:1]), times)  # type: ignore[misc]
        action = torch.randint(ACTIONS, (STEPS, *shape), device=device)
        update = timed(lambda c=contender, a=action: learn(c, a), times)  # type: ignore[misc]
        rows[name] = {"act_ms": act, "learn_ms": update, "update_ms": STEPS * act + update}
    for row in rows.values():
        row["ratio"] = rows["stock"]["update_ms"] / row["update_ms"]
    return {"rows": rows, "body_ms": timed(passes, repeats)}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """As the options say."""
    torch.set_num_threads(options.threads)
    shape = tuple(options.shape)
    found = measure(shape, options.channels, torch.device(options.device), options.repeats)
    about = {"machine": machine(), "shape": list(shape), "channels": options.channels, "device": str(options.device)}
    return {**about, "repeats": options.repeats, **found}


def report(results: dict[str, Any]) -> str:
    """A line for each contender."""
    body = results["body_ms"]
    lines = [
        f"distribution's work of one update, {' x '.join(map(str, results['shape']))} voxels, one episode of {STEPS} "
        f"steps, {results['device']}, {results['machine']['threads']} thread"
    ]
    for name, row in results["rows"].items():
        lines.append(
            f"{name:<28} a step {row['act_ms']:10.1f} ms, learning {row['learn_ms']:10.1f} ms, "
            f"update {row['update_ms']:10.1f} ms: stock takes {row['ratio']:6.0f} times as long; "
            f"with the body {row['update_ms'] + body:10.1f} ms"
        )
    return "\n".join([*lines, f"body (P-Net, {results['channels']} channels): {body:.0f} ms an update"])


def main() -> None:
    """Read the options, measure, print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[55, 55, 30])
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    measure_and_report(parser, run, report)


if __name__ == "__main__":
    main()
