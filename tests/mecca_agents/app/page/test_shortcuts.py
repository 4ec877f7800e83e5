"""The keys: each does one thing, whatever the agent wants to be told."""

from __future__ import annotations

import pytest

from mecca_agents.app.page.shortcuts import commands_by_key, mouse, shortcuts


@pytest.mark.parametrize("project", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_no_key_is_taken_twice(signed: bool, project: bool) -> None:
    keys = [key for shortcut in shortcuts(signed, project) for key in shortcut.keys if not key.startswith("Arrow")]
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
