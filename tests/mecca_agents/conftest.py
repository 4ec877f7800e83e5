"""Runs of small networks, each trained once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mecca_agents.presets import FAST, MECHANISMS
from mecca_agents.training import train
from tests.support.volumes import ellipsoid, write_decathlon


def _off_centre() -> NDArray[np.bool_]:
    """A label near one corner of a scan: some of the crops around it reach the scan's border, others do not."""
    label = np.zeros((60, 56, 48), np.bool_)
    label[2:26, 20:42, 8:24] = ellipsoid()
    return label


SMALL = FAST.replace(**MECHANISMS, shape=(18, 16, 14), channels=4, dilations=(1, 2), confidence_channels=4, updates=2)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The run of a method, trained for two updates on five small scans; each is trained once."""

    @cache
    def run(method: str, channels: int = 1, protocol: str = "paper", time: bool = False) -> Path:
        root = tmp_path_factory.mktemp("scans")
        write_decathlon(root, names="abcde", channels=channels, label=_off_centre())
        folder = tmp_path_factory.mktemp("runs") / method
        prompts = {"protocol": protocol, "time": time} if protocol != "paper" else {}
        keywords = {"root": root, "device": "cpu", "stream": StringIO(), "settings": prompts}
        train(method, "MECCA-Spleen-v0", folder, preset=SMALL, **keywords)
        return folder

    return run
