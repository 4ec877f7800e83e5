"""Time an update, and what a trained agent needs to answer, plainly and as it is done here.

    python -m benchmarks.learner                     # one CPU thread, the preset `fast` (16 channels)
    python -m benchmarks.learner --shape 55 55 30 --dilations 1 2 3 4 5 --num-envs 1     # the paper's grid
    python -m benchmarks.learner --device cuda --preset paper --channels 32 --num-envs 8

"Plain" is the network as one writes it without a thought of speed: float32, torch's default memory format, ordinary
layers. "Two passes" plays the episodes without gradients and computes everything again to learn from it, as
Stable-Baselines3's A2C does; "one pass" keeps the graph of the first. "Ours" is in float32; on a GPU it is compiled,
and in bfloat16 as well. All take turns on the same weights and episodes; medians. The peak is that of the quickest
single convolution of that precision found on the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.timing import benchmark_parser, machine, measure_and_report, median, milliseconds
from mecca_agents import PRESETS
from mecca_agents.agent import make_agent
from mecca_agents.algorithms.mecca import Mecca
from mecca_agents.learning.actor_critic import ActorCritic
from mecca_agents.learning.rollout import Decision
from mecca_agents.networks.pnet import PNet
from mecca_agents.presets import MECHANISMS, Precision, Preset
from mecca_agents.runs.envs import make_envs
from mecca_agents.runs.loading import make_task
from mecca_agents.runtime.devices import tuned


class PlainPNet(PNet):
    """The same network by ordinary layers, in torch's default memory format."""

    def forward(self, inputs: Tensor, only: str | None = None) -> dict[str, Tensor]:
        """See `PNet.forward`."""
        features, seen = _plain_blocks(self.shared, inputs)
        outputs = {}
        for name, branch in self.branches.items():
            if only not in (None, name):
                continue
            assert isinstance(branch.classify, nn.Sequential)
            first, _, last = branch.classify
            _, more = _plain_blocks(branch.own, features)
            hidden = _plain(first, torch.cat((*seen, *more), dim=1).relu()).relu()
            outputs[name] = _plain(last, hidden)
        return outputs


def _plain_blocks(blocks: nn.Module, features: Tensor) -> tuple[Tensor, list[Tensor]]:
    seen = []
    for block, squeeze in zip(blocks.blocks, blocks.squeeze, strict=True):  # type: ignore[arg-type]
        for layer in block:
            features = _plain(layer, features).relu()
        seen.append(_plain(squeeze, features))
    return features, seen


def _plain(layer: nn.Conv3d, inputs: Tensor) -> Tensor:
    return conv3d(inputs, layer.weight, layer.bias, padding=layer.padding, dilation=layer.dilation)


class Contender:
    """One agent on envs of its own.

    Args:
        method: Its name.
        preset: Its settings.
        device: Where it computes.
        plain: Whether the network is that of ordinary layers.
        passes: Forward passes of S; with 2 it plays without gradients and computes what it learns from anew.
    """

    def __init__(self, method: str, preset: Preset, device: torch.device, plain: bool = False, passes: int = 1) -> None:
        guide = method == "mecca"
        preset = preset.replace(**MECHANISMS) if guide else preset
        keywords = {"shape": preset.shape, "cases": preset.num_envs, "device": device, "guide": guide}
        self.envs = make_envs("MECCA-Phantom-v0", preset.num_envs, **keywords)
        self.agent = make_agent(method, preset, make_task(self.envs.config, 1), device=device, seed=0)
        assert isinstance(self.agent, ActorCritic)
        for network in self.agent.networks.values() if plain else ():
            network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            network.__class__ = PlainPNet
        if passes == 2:
            self.agent.decide = partial(_twice, self.agent)  # type: ignore[method-assign]
        self.observation, _ = self.envs.reset(seed=0)
        self._device, self._plain = device, plain

    def update(self) -> None:
        """Play one episode in every env and learn from it."""
        with nullcontext() if self._plain else tuned(self._device):  # as `mecca_agents.training` does
            self.observation, _ = self.agent.learn(self.envs, self.observation, 0.5)
        self._wait()

    def answer(self) -> None:
        """One volume's action."""
        self.agent.act({key: value[:1] for key, value in self.observation.items()})
        self._wait()

    def flops(self) -> int:
        """Of one update, multiplications and additions in convolutions."""
        with FlopCounterMode(display=False) as counter:
            self.update()
        return int(counter.get_total_flops())

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _twice(agent: ActorCritic, state: Tensor) -> Decision:
    """Decide without gradients, and compute for the same action what is learned from."""
    with torch.no_grad():
        decision = type(agent).decide(agent, state)
    if not torch.is_grad_enabled():
        return decision
    policy, value = agent.policy_and_value(state)
    every = None if decision.log_probs is None else policy.log_probs
    log_prob, entropy = policy.log_prob(decision.action), policy.entropy()
    decision = decision._replace(log_prob=log_prob, entropy=entropy, value=value, log_probs=every)
    if decision.confidence is None:
        return decision
    assert isinstance(agent, Mecca)
    confidence, opposite = agent.both_confidences(state, decision.action)
    return decision._replace(confidence=confidence, opposite=opposite)


def convolution_peak(shape: Sequence[int], device: torch.device, precision: torch.dtype) -> float:
    """FLOP/s of the quickest of several 3x3x3 convolutions, forward."""

    def rate(channels: int, dilation: int, layout: torch.memory_format) -> float:
        layer = nn.Conv3d(channels, channels, 3, padding=dilation, dilation=dilation).to(device, precision)
        layer = layer.to(memory_format=layout)  # type: ignore[call-overload]
        inputs = torch.randn(4, channels, *shape, device=device, dtype=precision).to(memory_format=layout)
        work = 2 * 27 * channels**2 * inputs[:, 0].numel()

        def once() -> None:
            with torch.no_grad():
                layer(inputs)
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        with tuned(device):
            once()
            return work / min(milliseconds(once) for _ in range(5)) * 1e3

    layouts = (torch.contiguous_format, torch.channels_last_3d)
    return max(rate(channels, 1, layout) for channels in (16, 32, 64, 128) for layout in layouts)


def measure(method: str, preset: Preset, device: torch.device, repeats: int) -> dict[str, Any]:
    """Medians of `repeats` turns, after one that warms up."""
    precisions: dict[Precision, torch.dtype] = {"float32": torch.float32}
    if device.type != "cpu":  # which trains in float32 alone
        precisions["bf16"] = torch.bfloat16
    two, one = (Contender(method, preset, device, plain=True, passes=passes) for passes in (2, 1))
    ours = {
        name: Contender(method, preset.replace(precision=name, compile=device.type == "cuda"), device)
        for name in precisions
    }
    flops = one.flops()
    two.update()
    for contender in ours.values():
        contender.update(), contender.answer()
    work: dict[str, Callable[[], None]] = {
        "two_passes_ms": two.update,
        "one_pass_ms": one.update,
        "plain_answer_ms": one.answer,
        **{f"{name}_ms": contender.update for name, contender in ours.items()},
        **{f"{name}_answer_ms": contender.answer for name, contender in ours.items()},
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, once in work.items():
            times[name].append(milliseconds(once))
    found = {name: median(values) for name, values in times.items()}
    rows = {}
    for name, dtype in precisions.items():
        ms, peak = found[f"{name}_ms"], convolution_peak(preset.shape, device, dtype)
        rows[name] = {
            "ms": ms,
            "two_passes_ratio": found["two_passes_ms"] / ms,
            "one_pass_ratio": found["one_pass_ms"] / ms,
            "gflop_per_s": flops / ms / 1e6,
            "peak_gflop_per_s": peak / 1e9,
            "peak_share": flops / ms * 1e3 / peak,
            "answer_ms": found[f"{name}_answer_ms"],
            "answer_ratio": found["plain_answer_ms"] / found[f"{name}_answer_ms"],
        }
    plain = {name: found[name] for name in ("two_passes_ms", "one_pass_ms", "plain_answer_ms")}
    return {**plain, "gflops": flops / 1e9, "ours": rows}


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Every method asked for."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    asked = {name: getattr(options, name) for name in ("shape", "dilations", "channels", "num_envs")}
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in asked.items() if v is not None}
    preset = PRESETS[options.preset].replace(**given)
    found = {method: measure(method, preset, device, options.repeats) for method in options.methods}
    about = {"preset": options.preset, **{name: preset.flat()[name] for name in asked}}
    return {"machine": machine(device), "device": str(device), **about, "repeats": options.repeats, "methods": found}


def report(results: dict[str, Any]) -> str:
    """A line for each method and precision."""
    lines = [
        f"one update of {results['num_envs']} episodes of five steps, {' x '.join(map(str, results['shape']))} voxels, "
        f"{results['channels']} channels, dilations {' '.join(map(str, results['dilations']))}, {results['device']}, "
        f"{results['machine']['threads']} thread"
    ]
    for method, row in results["methods"].items():
        lines.append(
            f"{method}: {row['gflops']:.0f} GFLOP; plain with two passes {row['two_passes_ms']:.0f} ms, with one "
            f"{row['one_pass_ms']:.0f} ms; an answer for one volume {row['plain_answer_ms']:.1f} ms"
        )
        lines += [
            f"  ours, {name}: {ours['ms']:.0f} ms, ratios {ours['two_passes_ratio']:.2f} and "
            f"{ours['one_pass_ratio']:.2f}; {ours['gflop_per_s']:.0f} GFLOP/s, {ours['peak_share']:.0%} of the "
            f"quickest convolution's {ours['peak_gflop_per_s']:.0f}; an answer {ours['answer_ms']:.1f} ms, "
            f"ratio {ours['answer_ratio']:.2f}"
            for name, ours in row["ours"].items()
        ]
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--methods", nargs="+", default=["iter-mrl", "mecca"])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--shape", type=int, nargs=3)
    parser.add_argument("--dilations", type=int, nargs="+")
    parser.add_argument("--channels", type=int)
    parser.add_argument("--num-envs", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    measure_and_report(parser, run, report)


if __name__ == "__main__":
    main()
