"""The code of the pages on Stable-Baselines3, TorchRL, PettingZoo and wrappers runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.slow  # trainings

DOCS = ROOT / "docs"


@pytest.mark.filterwarnings("ignore:.*Overwriting existing videos")
@pytest.mark.parametrize(
    ("page", "needed", "blocks"),
    [
        ("torchrl.md", ("torchrl", "pettingzoo"), 3),
        ("wrappers.md", ("moviepy",), 4),
        ("sb3.md", ("stable_baselines3",), 3),
    ],
    ids=["torchrl", "wrappers", "sb3"],
)
def test_every_block(
    page: str, needed: tuple[str, ...], blocks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in needed:
        pytest.importorskip(library, reason=f"{page} is about it")
    monkeypatch.chdir(tmp_path)
    found = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert len(found) == blocks
    names: dict[str, Any] = {}
    for block in found:
        exec(compile(block, page, "exec"), names)
    if page == "torchrl.md":
        assert names["rollout"]["next", "reward"].shape == (4, 10, 1)
        assert names["env"].state().shape == (3, 12, 12, 10)
    elif page == "sb3.md":
        assert names["action"].shape == (4, 16 * 16 * 12) and (tmp_path / "voxels.zip").exists()
        assert names["model"].num_timesteps == 60
    else:
        assert names["rows"].shape == (4, 3 * 16 * 16 * 12) and names["terminated"].all()
        assert names["observation"]["hint"].shape == (2, 3, 16, 16, 12)
        assert names["env"].max_timesteps == 5
        assert len(list((tmp_path / "videos").glob("*.mp4"))) == 1
