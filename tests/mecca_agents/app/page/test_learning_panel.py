"""The sentence about choices: how many there are, what is missing, and the command that learns from them."""

from __future__ import annotations

import shlex
from pathlib import Path

import tyro

from mecca_agents.app.page.panels.learning_panel import choices_line
from mecca_agents.commands.learn import Learn
from mecca_agents.online.enough import ChoiceCount
from mecca_agents.runs.shipped import find_run


def test_none_some_and_enough(tmp_path: Path) -> None:
    project = tmp_path / "my spleens"
    assert choices_line(ChoiceCount(), project, find_run()) == ""
    assert choices_line(ChoiceCount(1, 0), project, find_run()).startswith("The accepted logs hold 1 choice between")
    assert choices_line(ChoiceCount(22, 10), project, find_run()) == (
        "The accepted logs hold 32 choices between two proposals: 22 to learn from and 10 to judge by; "
        "mecca learn --preferences wants 24 and 8."
    )
    for run, name in ((find_run(), "general"), (tmp_path / "run", str(tmp_path / "run"))):
        words, _, command = choices_line(ChoiceCount(24, 8), project, run).partition(": ")
        assert words == "The accepted logs hold 32 choices between two proposals, enough to learn from"
        program, subcommand, *arguments = shlex.split(command)
        asked = tyro.cli(Learn, args=arguments)
        assert (program, subcommand, asked.preferences, asked.project) == ("mecca", "learn", True, project)
        assert asked.run_folder == Path(name) and asked.out == Path("RUN")
