"""What all voxel-wise actor-critics share: one P-Net with a policy and a value branch, its optimiser, its update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.checkpoint import checkpoint

from mecca_agents.a2c import Losses, a2c_losses
from mecca_agents.agent import Agent, Observation, TaskSpec
from mecca_agents.devices import autocast
from mecca_agents.distributed import sum_gradients, total, world_size
from mecca_agents.distributions import VoxelCategorical
from mecca_agents.networks import PNet
from mecca_agents.presets import Preset
from mecca_agents.rollout import Decision, Rollout, stack_observation
from mecca_agents.training_state import pack, unpack

BALANCE_SETTLES = 0.5
"""Share of the training after which the weights of foreground and background stay as they are.

Where the target is small, lowering every probability pays at once, and a policy that has learned to do so no longer
explores. Weighting the classes alike at the start avoids that; keeping it up would make the target come out too large.
"""


class ActorCritic(Agent):
    """Networks, optimisers and the A2C update; subclasses say how they learn.

    Args:
        preset: Its settings.
        task: What it plays; discrete actions.
        device: Where its networks live.
        seed: Fixes its initial weights and its sampling.

    Attributes:
        networks: Every network by name; "segmentation" is S of Algorithm 1.
        optimizers: The optimiser of every network, by the same name.

    Raises:
        ValueError: The grid is smaller than the network's dilations need, or the actions are of another kind.
    """

    name: ClassVar[str]
    learns_together = True

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        self.check_task(task)
        self.preset, self.task, self.device = preset, task, device
        self.adjustments = torch.tensor(task.adjustments, device=device)
        self.networks, self.optimizers = nn.ModuleDict(), dict[str, Optimizer]()
        self.generator = torch.Generator(device).manual_seed(seed)
        branches = {"policy": len(task.adjustments), "value": 1}
        network = self.add_network("segmentation", task.modalities + 2, branches, preset.channels, seed)
        if min(task.shape) < network.min_side:
            raise ValueError(f"shape: expected sides of at least {network.min_side}, got {task.shape}")

    def check_task(self, task: TaskSpec) -> None:
        """Raise `ValueError` where the method cannot play this."""
        if task.action != "discrete" or task.guide:
            given = f"action={task.action!r}, guide={task.guide}"
            raise ValueError(f"{self.name}: expected discrete actions and no guide, got {given}")

    def add_network(self, name: str, in_channels: int, branches: Mapping[str, int], channels: int, seed: int) -> PNet:
        """Make a P-Net and its optimiser; the policy's own layers may learn more slowly (Sec. 3.2)."""
        preset = self.preset
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # initial values are drawn on the host, on every device the same
            network = PNet(in_channels, branches, channels, preset.dilations, preset.shared_blocks)
        self.networks[name] = network.to(self.device)
        if preset.compile:
            # Not "reduce-overhead": its CUDA graphs write every call's activations to the same memory, and here those
            # of T calls wait for one backward pass. Convolutions of whole volumes keep a GPU busy without it.
            network.compile(mode="default")
        slow = [p for key, p in network.named_parameters() if key.startswith("branches.policy.")]
        others = [p for key, p in network.named_parameters() if not key.startswith("branches.policy.")]
        groups = [{"params": others, "rate": 1.0}, {"params": slow, "rate": preset.policy_rate}]
        self.optimizers[name] = Adam([group for group in groups if group["params"]], lr=preset.learning_rate)
        return network

    @torch.no_grad()
    def act(self, observation: Observation) -> Any:
        """The action that `choose` takes for every voxel, (B, D, H, W) int64."""
        with torch.inference_mode():
            policy, _ = self.policy_and_value(observation)
        return self.choose(policy)

    def choose(self, policy: VoxelCategorical) -> Tensor:
        """The adjustment of every voxel that is nearest to the expected one, (B, D, H, W) int64.

        Not the most probable one: of a voxel that is lowered by 0.4 with probability 0.45 and otherwise raised, the
        most probable action gives up what the policy keeps open (docs/choices.md).
        """
        return policy.nearest_to_mean(self.adjustments)

    def policy_and_value(self, observation: Observation) -> tuple[VoxelCategorical, Tensor]:
        """S of Algorithm 1: the policy pi(. | s), and the value V(s), (B, D, H, W)."""
        outputs = self.outputs("segmentation", stack_observation(observation))
        return VoxelCategorical(outputs["policy"]), outputs["value"].squeeze(1)

    def outputs(self, name: str, inputs: Tensor) -> dict[str, Tensor]:
        """What a network makes of its inputs, float32, computed in the preset's precision and chunks.

        With gradients nothing of a chunk but its inputs and outputs is kept; the rest is computed again for them.

        Args:
            name: Of the network.
            inputs: (B, C, D, H, W).
        """
        network, chunk = self.networks[name], self.preset.chunk
        with autocast(self.device, self.preset.precision):
            if chunk is None:
                return {key: values.float() for key, values in network(inputs).items()}
            parts = [
                checkpoint(network, part, use_reentrant=False, preserve_rng_state=False)
                for part in torch.split(inputs, chunk)
            ]
        return {key: torch.cat([part[key] for part in parts]).float() for key in parts[0]}

    def decide(self, observation: Observation) -> Decision:
        """Sample an action for every voxel (Eq. 1)."""
        policy, value = self.policy_and_value(observation)
        action = policy.sample(self.generator)
        return Decision(action, policy.log_prob(action), policy.entropy(), value)

    def losses(self, rollout: Rollout, progress: float) -> Losses:
        """Eq. 3-5 and 11 with this method's settings; `progress` in [0, 1) is how much of the training is done."""
        preset = self.preset
        return a2c_losses(
            rollout,
            gamma=preset.gamma,
            gae_lambda=preset.gae_lambda,
            entropy_weight=preset.entropy_weight,
            value_weight=preset.value_weight,
            credit=preset.credit,
            balance=between(*preset.balance, min(progress / BALANCE_SETTLES, 1.0)),
        )

    def backward(self, loss: Tensor) -> None:
        """Gradients of a scalar loss, in place of all others. Raises `FloatingPointError` where it is not finite."""
        self.networks.zero_grad(set_to_none=True)
        check_finite("loss", float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]

    def descend(self, progress: float) -> float:
        """One optimiser step of every network along the gradients of all processes, clipped; they keep none.

        Args:
            progress: How much of the training is done, in [0, 1].

        Returns:
            The norm of the gradient of S, before clipping.

        Raises:
            FloatingPointError: A gradient is NaN or infinite; nothing is updated.
        """
        sum_gradients(self.networks)
        norms = {name: self._clip(name) for name in self.networks}
        for name, norm in norms.items():
            check_finite(f"gradient of the {name} network", norm)
        rate = self.preset.learning_rate * between(1.0, self.preset.final_learning_rate, progress)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate"]
            optimizer.step()
        self.networks.zero_grad(set_to_none=True)
        return norms["segmentation"]

    def numbers(self, rollout: Rollout, losses: Losses) -> dict[str, float]:
        """What every actor-critic logs; reward, Dice and misunderstanding are those of labelled episodes alone."""
        values = {
            "loss": total(losses.total),
            "policy_loss": total(losses.policy),
            "value_loss": total(losses.value),
            "entropy": total(losses.entropy),
            "raising": total((self.adjustments > 0)[rollout.action].float().mean()) / world_size(),
        }
        labelled = rollout.labelled
        if bool(total(labelled.sum())):

            def mean(numbers: Tensor, where: Tensor) -> Tensor:
                return total(numbers[where].sum()) / total(where.sum())

            values |= {
                "return": len(labelled) * mean(rollout.reward.mean(dim=(2, 3, 4)), labelled),
                "dice": mean(rollout.dice[-1], labelled[-1]),
                "dice_first": mean(rollout.dice[0], labelled[0]),
                "misunderstanding": mean(rollout.misunderstanding, labelled),
            }
        return {key: float(value.detach()) for key, value in values.items()}

    def weights(self) -> dict[str, Tensor]:
        """The parameters of all networks."""
        return {key: value.detach().contiguous() for key, value in self.networks.state_dict().items()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the parameters of all networks. Raises `ValueError` where names or shapes differ."""
        own = self.networks.state_dict()
        wrong = [f"{key} is missing" for key in own if key not in weights]
        wrong += [f"{key} is foreign" for key in weights if key not in own]
        wrong += [
            f"{key} has shape {tuple(weights[key].shape)} and not {tuple(own[key].shape)}"
            for key in own
            if key in weights and weights[key].shape != own[key].shape
        ]
        if wrong:
            more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise ValueError(f"weights do not fit this network: {', '.join(wrong[:3])}{more}")
        self.networks.load_state_dict(dict(weights))

    def training_state(self) -> dict[str, Tensor]:
        """The optimisers' moments and the generator of the actions."""
        return pack(self.optimizers, {"actions": self.generator})

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `training_state` returned. Raises `ValueError` where it does not fit."""
        unpack(state, self.optimizers, {"actions": self.generator})

    def _clip(self, name: str) -> float:
        return float(nn.utils.clip_grad_norm_(self.networks[name].parameters(), self.preset.clip_norm))


def between(start: float, end: float, share: float) -> float:
    """The value that lies `share` of the way from start to end."""
    return start + (end - start) * share


def check_finite(name: str, value: float) -> None:
    """Raise `FloatingPointError` where a number is NaN or infinite."""
    if not math.isfinite(value):
        raise FloatingPointError(f"{name} became {value}")
