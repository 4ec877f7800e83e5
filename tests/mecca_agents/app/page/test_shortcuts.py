"""The keys: each does one thing, whatever the agent wants to be told."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mecca_agents import app
from mecca_agents.app.page.shortcuts import commands_by_key, mouse, shortcuts


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_no_key_is_taken_twice(signed: bool, project: bool) -> None:
    listed = [each for each in shortcuts(signed, project) if "take first" not in each.keys.values()]
    keys = [key for each in listed for key in each.keys if not key.startswith("Arrow")]
    assert len(listed) == len(shortcuts(signed, project)) - 1
    assert len(keys) == len(set(keys)) and set(keys) <= set(commands_by_key(signed, project))
    assert ("accept" in commands_by_key(signed, project).values()) == project


def test_tools_that_mark() -> None:
    plain, signed = commands_by_key(False), commands_by_key(True)
    assert plain["c"] == "tool click" and not {"d", "e"} & set(plain)
    assert [signed[key] for key in "cde"] == ["tool inside", "tool outside", "tool lasso"]
    assert {key: command for key, command in signed.items() if key not in "cde"} == {
        key: command for key, command in plain.items() if key != "c"
    }
    assert set(mouse(False)) < set(mouse(True))


CTRL, SHIFT, ALT = ({f"{name}Key": True} for name in ("ctrl", "shift", "alt"))


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js here")
@pytest.mark.parametrize(
    ("event", "command"),
    [
        ({"key": "[", **CTRL, **ALT}, "smaller brush"),  # AltGr on Windows
        ({"key": "]", **ALT}, "larger brush"),
        ({"key": "s", **ALT}, None),
        ({"key": "s", **CTRL}, None),
        ({"key": "S"}, "step"),
        ({"key": "Z", **CTRL}, "undo"),  # with Caps Lock
        ({"key": "z", **CTRL, **SHIFT}, "redo"),
        ({"key": "Z", **CTRL, **SHIFT}, "redo"),
        ({"key": "z", **CTRL}, "undo"),
        ({"key": "Delete", **SHIFT}, "reset"),
    ],
)
def test_what_a_browser_makes_of_a_key(event: dict[str, Any], command: str | None) -> None:
    """The viewer's own function, without a browser."""
    text = (Path(app.__file__).parent / "web" / "viewer.js").read_text()
    imported = "\n".join(line for line in text.splitlines() if not line.startswith("import "))
    code = f"""
const SliceView = 0, sent = [];
globalThis.document = {{ querySelector: () => null }};
{imported.replace("export default", "const viewer =")}
const keys = {json.dumps(commands_by_key(False))};
const page = {{ planes: [1], keys, local: () => false, $emit: (_, command) => sent.push(command) }};
viewer.methods.onKey.call(page, {{ target: {{}}, preventDefault() {{}}, ...{json.dumps(event)} }});
console.log(JSON.stringify(sent));
"""
    ran = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == ([] if command is None else [command])


def test_keys_that_take_a_proposal_are_there_only_while_there_are_two() -> None:
    without, asking = commands_by_key(False), commands_by_key(False, asking=True)
    assert without["q"] == "two proposals" and without["1"] == "view 1" and "Escape" not in without
    changed = {key: command for key, command in asking.items() if without.get(key) != command}
    assert changed == {"1": "take first", "2": "take second", "Escape": "take neither"}
