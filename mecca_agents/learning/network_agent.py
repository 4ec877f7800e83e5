"""The base of all methods with networks: networks by name, an optimiser for each, their update and their weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.utils.checkpoint import checkpoint

from mecca_agents.agent import Agent, TaskSpec
from mecca_agents.learning.optimizer_state import pack, unpack
from mecca_agents.networks.evidence import Informed, Layout
from mecca_agents.networks.pnet import PNet
from mecca_agents.networks.unet import UNet
from mecca_agents.presets import FAMILIES, Preset
from mecca_agents.runtime.devices import autocast, check_trainable
from mecca_agents.runtime.distributed import sum_gradients
from mecca_env.process.config import some_unlabelled


class NetworkAgent(Agent):
    """Networks and optimisers; subclasses say what they compute and how they learn.

    Args:
        preset: Its settings.
        task: What it plays.
        device: Where its networks live.
        seed: Fixes its initial weights and its sampling.

    Attributes:
        networks: Every network by name.
        optimizers: The optimiser of every network that learns by gradients, by the same name.
        generator: All that the method draws while it learns.
        families: Families of settings that it has a use for, besides `network` and what every run has.
        plays_unlabelled: Whether it may learn from unlabelled cases, too.

    Raises:
        ValueError: The method cannot play this task.
    """

    name: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = ()
    plays_unlabelled: ClassVar[bool] = False
    learns_together = True

    def __init__(self, preset: Preset, task: TaskSpec, *, device: torch.device, seed: int) -> None:
        self.check_task(task)
        self.preset, self.task, self.device, self.seed = preset, task, device, seed
        self.networks, self.optimizers = nn.ModuleDict(), dict[str, Optimizer]()
        self.generator = torch.Generator(device).manual_seed(seed)

    def check_task(self, task: TaskSpec) -> None:
        """Raise `ValueError` where the method cannot play this."""

    @classmethod
    def without_effect(cls, preset: Preset, settings: Mapping[str, Any]) -> dict[str, str]:
        """The families of other methods, and what is about unlabelled cases where none are played."""
        own = ("", "network", *cls.families)
        none = {name: f"{family} is of other methods" for name, family in FAMILIES.items() if family not in own}
        of_pnet, of_unet = ("dilations", "shared_blocks"), ("levels",)
        network = preset.network.network
        none |= dict.fromkeys(of_unet if network == "pnet" else of_pnet, f"its network is {network}")
        if not cls.plays_unlabelled:
            none["labelled_share"] = "it plays labelled cases alone"
        elif not some_unlabelled(settings):
            none["labelled_share"] = "all cases are labelled"
        return none

    def add_network(
        self,
        name: str,
        make: Callable[[], nn.Module],
        *,
        slow: str | None = None,
        slow_rate: float = 1.0,
        optimized: bool = True,
    ) -> nn.Module:
        """Keep a network.

        Args:
            name: What it is called in `networks`, `outputs` and the weights.
            make: Makes it; whatever its initial values are, they follow from the method's seed.
            slow: Parameters whose names begin so learn at `slow_rate` of the rate.
            slow_rate: That share.
            optimized: Whether it gets an optimiser.
        """
        preset = self.preset
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)  # drawn on the host, on every device the same
            network = make().float()  # as observations are, whatever torch's default dtype is
        self.networks[name] = network.to(self.device)
        if preset.network.compile and self.device.type != "cpu":  # what a GPU trained acts on a CPU as it is
            # Not "reduce-overhead": its CUDA graphs write every call's activations to the same memory, and here those
            # of T calls wait for one backward pass. Convolutions of whole volumes keep a GPU busy without it.
            network.compile(mode="default")
        if optimized:
            named = list(network.named_parameters())
            behind = [p for key, p in named if slow and key.startswith(slow)]
            others = [p for key, p in named if not (slow and key.startswith(slow))]
            groups = [{"params": others, "rate": 1.0}, {"params": behind, "rate": slow_rate}]
            self.optimizers[name] = Adam([group for group in groups if group["params"]], lr=preset.learning_rate)
        return network

    def add_cnn(
        self,
        name: str,
        in_channels: int,
        branches: Mapping[str, int],
        channels: int | None = None,
        *,
        pulled: Collection[str] = (),
        slow: str | None = None,
        slow_rate: float = 1.0,
        dropout: float = 0.0,
        optimized: bool = True,
    ) -> None:
        """Keep a network of the kind and size that the preset asks for: P-Net or U-Net, told of evidence or not.

        Args:
            name: As in `add_network`.
            in_channels: Channels of its input; where they are not fewer than an observation's, they begin with one.
            branches: Output channels of each branch, by name.
            channels: Channels on the full grid; None: the preset's.
            pulled: Branches whose first output is the logit of foreground, for `networks.evidence.Informed`.
            slow: The branch that learns at `slow_rate` of the rate.
            slow_rate: That share.
            dropout: Probability that a feature is dropped, in training mode.
            optimized: Whether it gets an optimiser.

        Raises:
            ValueError: The grid is smaller than the dilations need.
        """
        sizes, task = self.preset.network, self.task
        width = sizes.channels if channels is None else channels
        layout = Layout(task.modalities, task.hints == 2, task.box)
        told = layout if sizes.evidence and in_channels >= task.channels else None
        inputs = in_channels + (told.channels if told else 0)

        def make() -> nn.Module:
            plain: nn.Module
            if sizes.network == "unet":
                plain = UNet(inputs, branches, width, sizes.levels, dropout)
            else:
                plain = PNet(inputs, branches, width, sizes.dilations, sizes.shared_blocks, dropout)
            return Informed(plain, told, pulled) if told else plain

        if sizes.network == "pnet" and min(task.shape) <= max(sizes.dilations):
            least = max(sizes.dilations) + 1
            raise ValueError(f"shape: expected sides of at least {least}, got {task.shape}")
        prefix = f"{'network.' if told else ''}branches.{slow}." if slow else None
        self.add_network(name, make, slow=prefix, slow_rate=slow_rate, optimized=optimized)

    def outputs(self, name: str, inputs: Tensor, only: str | None = None) -> dict[str, Tensor]:
        """Outputs of a network by branch, float32, computed in the preset's precision and chunks.

        With gradients nothing of a chunk but its inputs and outputs is kept; the rest is computed again for them.

        Args:
            name: Of the network.
            inputs: (B, C, D, H, W).
            only: The branch that is wanted, of a network with several; None: all.
        """
        network, chunk = self.networks[name], self.preset.network.chunk
        wanted: dict[str, Any] = {} if only is None else {"only": only}
        with autocast(self.device, self.preset.network.precision):
            if chunk is None:
                return {key: values.float() for key, values in network(inputs, **wanted).items()}
            again = partial(_as_it_was, network, network.training)
            parts = [
                checkpoint(
                    *(network, part),
                    **wanted,
                    use_reentrant=False,
                    preserve_rng_state=network.training,
                    context_fn=again,
                )
                for part in torch.split(inputs, chunk)
            ]
        return {key: torch.cat([part[key] for part in parts]).float() for key in parts[0]}

    def steps_at_once(self, horizon: int) -> int:
        """Steps of an episode that an optimiser step learns from. Raises `ValueError` where they do not divide it."""
        steps = self.preset.n_steps or horizon
        if horizon % steps:
            raise ValueError(f"n_steps: expected a divisor of the {horizon} steps of an episode, got {steps}")
        return steps

    def backward(self, loss: Tensor) -> None:
        """Gradients of a scalar loss, in place of all others.

        Raises:
            FloatingPointError: The loss is not finite.
            ValueError: The preset asks for bfloat16 or for compiled networks, and this is a CPU.
        """
        check_trainable(self.device, self.preset.network)
        self.networks.zero_grad(set_to_none=True)
        check_finite("loss", float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]

    def descend(self, progress: float, names: Iterable[str] | None = None) -> dict[str, float]:
        """One optimiser step along the gradients of all processes, clipped; the networks keep none.

        Args:
            progress: How much of the training is done, in [0, 1].
            names: Which networks; None: all that have an optimiser.

        Returns:
            The norm of each network's gradient before clipping, by name.

        Raises:
            FloatingPointError: A gradient is NaN or infinite; nothing is updated.
        """
        chosen = list(self.optimizers if names is None else names)
        sum_gradients(nn.ModuleList(self.networks[name] for name in chosen))
        norms = {name: self._clip(name) for name in chosen}
        for name, norm in norms.items():
            check_finite(f"gradient of the {name} network", norm)
        rate = self.preset.learning_rate * between(1.0, self.preset.final_learning_rate, progress)
        for name in chosen:
            for group in self.optimizers[name].param_groups:
                group["lr"] = rate * group["rate"]
            self.optimizers[name].step()
        self.networks.zero_grad(set_to_none=True)
        return norms

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
        """The optimisers' moments and the state of the random generator."""
        return pack(self.optimizers, {"actions": self.generator})

    def load_training_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `training_state` returned. Raises `ValueError` where it does not fit."""
        unpack(state, self.optimizers, {"actions": self.generator})

    def _clip(self, name: str) -> float:
        return float(nn.utils.clip_grad_norm_(self.networks[name].parameters(), self.preset.clip_norm))


def _as_it_was(network: nn.Module, training: bool) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of a forward pass and of its repetition, which is in the same mode: with dropout or without."""
    return nullcontext(), in_mode(network, training)


@contextmanager
def in_mode(network: nn.Module, training: bool) -> Iterator[None]:
    """A context in which a network is in training mode, or in evaluation mode."""
    before = network.training
    network.train(training)
    try:
        yield
    finally:
        network.train(before)


def between(start: float, end: float, share: float) -> float:
    """The value that lies `share` of the way from start to end."""
    return start + (end - start) * share


def check_finite(name: str, value: float) -> None:
    """Raise `FloatingPointError` where a number is NaN or infinite."""
    if not math.isfinite(value):
        raise FloatingPointError(f"{name} became {value}")
