"""Optimisers and random generators as named tensors and back, so that they can be kept without pickles."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer


def pack(optimizers: Mapping[str, Optimizer], generators: Mapping[str, torch.Generator]) -> dict[str, Tensor]:
    """The memory of optimisers and generators; learning rates and other settings are not part of it."""
    packed = {f"generator.{name}": generator.get_state() for name, generator in generators.items()}
    for name, optimizer in optimizers.items():
        for index, entries in optimizer.state_dict()["state"].items():
            packed |= {f"optimizer.{name}.{index}.{key}": value for key, value in entries.items()}
    return packed


def unpack(
    packed: Mapping[str, Tensor], optimizers: Mapping[str, Optimizer], generators: Mapping[str, torch.Generator]
) -> None:
    """Let optimisers and generators remember what `pack` returned.

    Raises:
        ValueError: A name or a shape is not that of these optimisers and generators.
    """
    states: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in optimizers}
    pending = set(generators)
    for key, value in packed.items():
        match key.split("."):
            case ["generator", name] if name in pending:
                _restore(generators[name], value)
                pending.remove(name)
            case ["optimizer", name, index, entry] if name in optimizers and index.isdecimal():
                states[name].setdefault(int(index), {})[entry] = value
            case _:
                raise ValueError(f"training state: {key!r} belongs to no optimiser or generator of this method")
    if pending:
        raise ValueError(f"training state: expected the generators {sorted(pending)}, found none")
    for name, optimizer in optimizers.items():
        _check(name, optimizer, states[name])
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states[name]})


def _restore(generator: torch.Generator, state: Tensor) -> None:
    kind = generator.device.type
    if state.shape != generator.get_state().shape:
        raise ValueError(f"training state: its random generator is not one of {kind}; go on on the device it began on")
    generator.set_state(state.cpu())


def _check(name: str, optimizer: Optimizer, state: Mapping[int, Mapping[str, Tensor]]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if state and set(state) != set(range(len(parameters))):
        raise ValueError(f"training state: expected {len(parameters)} parameters of {name}, found {len(state)}")
    for index, entries in state.items():
        for key, value in entries.items():
            if value.ndim and value.shape != parameters[index].shape:
                expected = tuple(parameters[index].shape)
                raise ValueError(
                    f"training state: {name}.{index}.{key}: expected {expected}, found {tuple(value.shape)}"
                )
