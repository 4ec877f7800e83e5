"""A device that is not there: its tensors are the CPU's, but refuse to meet those, as a GPU's do.

What is wrong with a program on a GPU shows first by tensors on two devices; with this, without one as well. Torch knows
one such device in a process and can't unlearn it, so only programs of their own import this.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "elsewhere"
DEVICE = f"{NAME}:0"
MEETING = ("copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_")
"""Operations that take tensors of two devices: copies, and indices, which a GPU fetches from the host."""


class _Module(backend_registration._DummyBackendModule):  # type: ignore[misc]
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())


class ElsewhereTensor(Tensor):
    """A tensor on the device; `held` is the one on the CPU that it stands for."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> ElsewhereTensor:
        """Of the same shape and strides."""
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(cls, held.size(), **layout, device=torch.device(DEVICE))
        made.held = held
        return made

    def tolist(self) -> Any:
        """As a GPU's tensor has it."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Any operation on one of them."""
        return _run(func, args, kwargs or {})


class Elsewhere(ExitStack):
    """A context in which the device is there."""

    def __enter__(self) -> Elsewhere:
        """As if a GPU were plugged in."""
        super().__enter__()
        self.enter_context(_Operations())
        self.enter_context(_Functions())
        return self


class _Operations(TorchDispatchMode):
    """Operations without a tensor of the device among their arguments: they may make one."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Functions that make a tensor of numbers: on the CPU, and then there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], Tensor) and kwargs.get("device"):
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        if func is Tensor.__getitem__ and isinstance(args[1], list):
            return args[0][torch.tensor(args[1])]
        return func(*args, **kwargs)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, ElsewhereTensor)]
    here = [tensor for tensor in tensors if not isinstance(tensor, ElsewhereTensor) and tensor.dim()]
    if there and here and name not in MEETING:
        raise RuntimeError(f"{name}: expected all tensors on one device, found some on {DEVICE} and some on the CPU")
    stays, given = bool(there), kwargs
    if kwargs.get("device") is not None:
        stays, given = torch.device(kwargs["device"]).type == NAME, {**kwargs, "device": torch.device("cpu")}
    if name == "copy_":
        stays = isinstance(args[0], ElsewhereTensor)
    known = {id(tensor.held): tensor for tensor in there}
    held = tree_map(lambda leaf: leaf.held if isinstance(leaf, ElsewhereTensor) else leaf, (args, given))

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not stays:
            return leaf
        return known[id(leaf)] if id(leaf) in known else ElsewhereTensor(leaf)

    made = tree_map(placed, func(*held[0], **held[1]))
    return return_and_correct_aliasing(func, args, kwargs, made) if there and stays else made
