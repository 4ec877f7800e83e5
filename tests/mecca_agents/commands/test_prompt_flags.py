"""The prompts on the command line: what is read, what is refused, and that a run keeps it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.cli import main
from mecca_agents.commands.prompt_flags import HINTS, SWITCHES, USERS, PromptFlags, given_prompts
from mecca_agents.presets import PRESETS
from mecca_agents.runs import RunConfig, read_config
from mecca_agents.runs.config import write_config
from mecca_env.process.config import EnvConfig
from mecca_env.process.hints import make_hint
from mecca_env.process.users import make_user
from tests.support.agents import ENV, write_scans

FLAGS = {
    "--protocol mixed": {"protocol": "mixed"},
    "--user largest-error": {"user": "largest-error"},
    "--user edge=0.25 scribble=1": {"user": {"edge": 0.25, "scribble": 1.0}},
    "--user edge=1": {"user": {"edge": 1.0}},
    "--clicks 3 0-2 1-1": {"clicks": (3, (0, 2), 1)},
    "--horizon 3": {"horizon": 3},
    "--hint edt": {"hint": "edt"},
    "--signed": {"signed": True},
    "--no-signed": {"signed": False},
    "--box label=0.7 none=0.3": {"box": {"label": 0.7, "none": 0.3}},
    "--box middle-slice": {"box": "middle-slice"},
    "--crop scan": {"crop": "scan"},
    "--start half=3 mask=1": {"start": {"half": 3.0, "mask": 1.0}},
    "--time": {"time": True},
}


@pytest.fixture
def random_run(tmp_path: Path) -> list[str]:
    """A command that trains what learns nothing, on small scans."""
    root = write_scans(tmp_path / "Task09_Spleen")
    command = f"train random --env {ENV} --root {root} --out {tmp_path / 'run'} --preset brief --shape 8 9 10"
    return [*command.split(), "--updates", "1", "--device", "cpu"]


def _without_label(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "labelled_share"}


def test_a_run_keeps_what_was_given_and_it_comes_back_from_its_settings(tmp_path: Path, random_run: list[str]) -> None:
    words = ["--protocol one-click", "--user edge=0.25 scribble=1", "--clicks 3 0-2 1", "--horizon 3", "--hint edt",
             "--box label=0.7 none=0.3", "--crop scan", "--start half=3 mask=1", "--time"]  # fmt: skip
    assert main([*random_run, *" ".join(words).split()]) == 0
    config, expected = read_config(tmp_path / "run"), {"protocol": "one-click"}
    for flag in words:
        expected |= FLAGS.get(flag, {})
    expected |= {"clicks": (3, (0, 2), 1)}
    assert config.settings == expected
    environment = EnvConfig(**expected, shape=(8, 9, 10))
    assert environment.signed and config.environment["signed"]  # of the protocol
    for name in PromptFlags.__annotations__:
        assert config.environment[name] == getattr(environment, name)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["settings"]["clicks"] == [3, [0, 2], 1] and stored["settings"]["box"] == {"label": 0.7, "none": 0.3}


@pytest.mark.parametrize("flag", FLAGS, ids=str)
def test_what_a_flag_means_is_a_setting_that_comes_back_from_a_file(tmp_path: Path, flag: str) -> None:
    name, *words = flag.removeprefix("--").split()
    switched = name.removeprefix("no-") in SWITCHES
    lists = isinstance(PromptFlags.__annotations__, dict) and name in ("user", "clicks", "box", "crop", "start")
    value: Any = not name.startswith("no-") if switched else tuple(words) if lists else words[0]
    name = name.removeprefix("no-")
    found = given_prompts({name: int(value) if name == "horizon" else value})
    assert found == FLAGS[flag]
    found |= {"horizon": 3} if name == "clicks" else {}  # as many steps as numbers, or it is no run's settings
    written = RunConfig("random", ENV, "scans", None, None, found, PRESETS["demo"], modalities=1, seed=0)
    write_config(tmp_path, replace(written, environment=found))
    assert read_config(tmp_path) == replace(written, environment=found)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--protocol best", "--protocol: expected one of paper, cvpr25, one-click, first-click, mixed, got 'best'"),
        ("--user edgy", "--user: expected one of edge, edges, guided, imprecise, largest-error, none, random-error"),
        ("--user edge scribble", "--user: expected one NAME, or NAME=WEIGHT for each of several, got 'edge scribble'"),
        ("--user edge=1 edge=2", "--user: expected one NAME, or NAME=WEIGHT for each of several, got 'edge=1 edge=2'"),
        ("--user edge=much", "--user: expected one NAME, or NAME=WEIGHT for each of several, got 'edge=much'"),
        ("--user edge=-1 none=1", "--user: expected weights of at least 0"),
        ("--user edgy=1", "--user: expected one of edge, .*, got 'edgy'"),
        ("--box lable", "--box: expected one of none, label, middle-slice, got 'lable'"),
        ("--crop label=0", "--crop: expected weights of at least 0 and one above 0, got {'label': 0.0}"),
        ("--start whole", "--start: expected one of half, mask, got 'whole'"),
        ("--clicks 1 two", "--clicks: expected N or LEAST-MOST for each step, such as 1 0-2, got '1 two'"),
        ("--clicks 3-1", "--clicks: expected N or LEAST-MOST for each step, such as 1 0-2, got '3-1'"),
        ("--horizon 0", "--horizon: expected an integer of at least 1, got 0"),
        ("--hint gauss", "--hint: expected one of gaussian, edt, euclidean, geodesic, supervoxel, got 'gauss'"),
        ("--signed --no-signed", "--signed: expected this or --no-signed, got both"),
        ("--time --no-time", "--time: expected this or --no-time, got both"),
        ("--clicks 1 1", "clicks: expected one number for each of the 5 steps, got (1, 1)"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "train random --env {env} --root {root} --out {out}",
        "benchmark --env {env} --root {root} --out {out} --methods random",
    ],
    ids=["train", "benchmark"],
)
def test_a_word_that_means_nothing_is_one_sentence_with_the_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, flags: str, message: str
) -> None:
    import re

    root = write_scans(tmp_path / "scans")
    words = command.format(env=ENV, root=root, out=tmp_path / "out").split()
    assert main([*words, *flags.split()]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and not (tmp_path / "out").exists()
    assert re.search(message if ".*" in message else re.escape(message), error)


def test_the_names_are_those_of_the_environment() -> None:
    for user in USERS:
        make_user(user, guide=user == "guided")
    with pytest.raises(ValueError, match="expected one of") as error:
        make_user("nobody", guide=False)
    assert all(f"'{user}'" in str(error.value) for user in USERS) and str(error.value).count("'") == 2 * len(USERS) + 2
    config = EnvConfig()
    for hint in HINTS:
        make_hint(hint, config)
    with pytest.raises(ValueError, match="hint") as error:
        make_hint("none", config)
    assert str(error.value).count("'") == 2 * len(HINTS) + 2
    assert set(PromptFlags.__annotations__) <= set(EnvConfig.__dataclass_fields__)


def test_a_run_that_goes_on_knows_its_prompts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], random_run: list[str]
) -> None:
    assert main([*random_run, "--protocol", "one-click", "--clicks", *"0 0-2 1 1 1 1".split()]) == 0
    assert main(["train", "--resume", str(tmp_path / "run"), "--protocol", "paper", "--signed"]) == 2
    assert "expected no other flag than --device, the run knows its settings; got --protocol, --signed" in (
        capsys.readouterr().err
    )
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert "there is nothing to do" in capsys.readouterr().err


def test_mecca_says_how_to_train_with_users_who_follow_no_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_scans(tmp_path / "scans")
    command = f"train mecca --env {ENV} --root {root} --out {tmp_path / 'run'} --protocol one-click --updates 1"
    assert main([*command.split(), "--interaction-guide"]) == 2
    error = capsys.readouterr().err
    assert "mecca: expected a user who follows advice" in error and "(--no-interaction-guide)" in error
    assert "got 'largest-error'" in error and not (tmp_path / "run").exists()
