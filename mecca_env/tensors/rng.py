"""Counter-based randomness: a draw is a pure function of what it is for, so it is the same on every device.

A stream is named by an integer key for each episode, made from its seed and its number; `fold` derives the key of a
step from it, and `shuffle_keys` gives every voxel its place in a random order. No generator holds any state.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

Word = TypeVar("Word", int, Tensor)
"""A word, or a tensor of them."""

_MASK = 0xFFFFFFFF
_FACTOR = 0x45D9F3B  # odd and below 2^31: products of 32-bit words stay inside int64
_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: sends neighbouring counters far apart


def mix(word: Word) -> Word:
    """Scatter 32-bit words: two multiply-xorshift rounds, a bijection on [0, 2^32) held in int64."""
    word = word & _MASK
    word = ((word >> 16) ^ word) * _FACTOR & _MASK
    word = ((word >> 16) ^ word) * _FACTOR & _MASK
    return (word >> 16) ^ word


def fold(key: Tensor, value: Tensor | int) -> Tensor:
    """The key of the sub-stream `value` of stream `key`; both int64, of shapes that broadcast."""
    return _folded(key, torch.as_tensor(value, dtype=torch.int64, device=key.device))


def stream(seed: int, episode: int) -> int:
    """The key of one episode, an integer in [0, 2^32), of a seed of any size."""
    key = _GOLDEN
    while seed:
        key = _folded(key, seed & _MASK)
        seed >>= 32
    return _folded(_folded(key, 1 << 32), episode)  # 1 << 32: no word of a seed, so it ends the seed


def word(key: int, purpose: int, number: int = 0) -> int:
    """A draw for a whole episode, an integer in [0, 2^32), of what it is for and its number among such draws.

    Args:
        key: The episode's stream (`stream`).
        purpose: From 1 up, below 2^16.
        number: From 0 up, below 2^16.
    """
    return _folded(key, (purpose << 48) | number)  # the counters of steps are below 2^48


def shuffle_keys(key: Tensor, index: Tensor) -> Tensor:
    """Sort keys that put voxels in a uniformly random order without ties.

    Args:
        key: Stream of each episode, (B,) int64.
        index: Flat voxel indices, (B, S) int64 in [0, 2^31).

    Returns:
        (B, S) int64, non-negative: 31 random bits above the index itself, so that equal draws never tie.
    """
    draw = mix(mix(index + _GOLDEN) ^ key[:, None])
    return ((draw >> 1) << 32) | index


def _folded(key: Word, counter: Word) -> Word:
    return mix(key ^ mix((counter & _MASK) + _GOLDEN) ^ mix((counter >> 32) + 2 * _GOLDEN))
