"""How far a learning is: shares that grow, in lines that a program can read."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from mecca_agents.online import learn, learning
from mecca_agents.online.progress import Progress, Progression, read_progress
from mecca_agents.session import Model
from tests.mecca_agents.online.conftest import accept


def test_shares_grow_over_all_trainings() -> None:
    heard: list[Progress] = []
    progress = Progression(heard.append)
    progress.say("the cases are read")
    progress.expect(2)
    for _ in range(2):
        progress.begin()
        progress.trained(0.5)
        progress.trained(1.5)  # more updates than were expected
        progress.say("the new weights are tried")
    shares = [each.share for each in heard]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == pytest.approx(0.95)
    assert heard[2].share == pytest.approx(0.05 + 0.9 / 4) and heard[2].doing == "learning, training 1 of 2"
    assert heard[-1].doing == "the new weights are tried"


@pytest.mark.parametrize(
    "line",
    [
        *("", "update 1/8: return 1.0", "[]", "{}", '{"share": "much", "doing": "x"}', '{"share": 0.5}', "0.5"),
        f'{{"share": 1{"0" * 400}, "doing": "x"}}',
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    assert read_progress(line) is None


def test_a_line_is_read_as_it_was_written() -> None:
    progress = Progress(0.25, 'learning "x"\n')
    assert "\n" not in progress.line and read_progress(progress.line + "\n") == progress
    assert read_progress('{"share": 7, "doing": "x"}') == Progress(1.0, "x")


@pytest.mark.parametrize(("count", "trainings"), [(2, 3), (4, 1)])
def test_a_learning_tells_how_far_it_is(
    count: int, trainings: int, begun: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "dice_of", lambda run, project, cases, device: dict.fromkeys(cases, 0.5))
    accept(model, tmp_path / "project", count)
    heard: list[Progress] = []
    more = {"updates": 2, "device": "cpu", "stream": StringIO()}
    learn(tmp_path / "project", begun, tmp_path / "out", on_progress=heard.append, **more)  # type: ignore[arg-type]
    shares, doing = [each.share for each in heard], [each.doing for each in heard]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(0.95)
    assert doing[:2] == ["the cases are read", "the earlier weights are tried"]
    assert sum(words.startswith("learning") for words in doing) == 3 * trainings
    assert doing[-1] == "the new weights are tried"
