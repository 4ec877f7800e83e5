"""What is shown while a run goes on, and what is written of it."""

from __future__ import annotations

import builtins
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mecca_agents.runs import RunError
from mecca_agents.runs.tally import Tally
from mecca_agents.training.display import Display
from mecca_agents.training.metrics_file import Events, Metrics

NUMBERS = {
    "loss": 9.0,
    "return": 0.25,
    "dice": 0.5,
    "entropy": 1.5,
    "confidence_accuracy": 0.75,
    "mask_share": 0.125,
}


class Terminal(io.StringIO):
    """Text that passes for a terminal."""

    def isatty(self) -> bool:
        return True


def _tally(updates: int, numbers: Mapping[str, float] = NUMBERS) -> Tally:
    tally = Tally()
    for _ in range(updates):
        tally.add(numbers, seconds=2.0, steps=30)
    return tally


def test_the_numbers_are_smoothed_over_updates() -> None:
    tally = Tally()
    tally.add({"dice": 1.0}, 1.0, 1)
    tally.add({"dice": 0.0}, 1.0, 1)
    assert tally.smooth == {"dice": pytest.approx(0.95)}


def test_rate_and_time_left_count_what_was_done_before_a_stop() -> None:
    tally = _tally(10)
    again = Tally(tally.updates, tally.seconds, tally.steps, dict(tally.smooth))
    again.add(NUMBERS, seconds=2.0, steps=30)
    assert again.describe(100) == (
        "Dice 0.500, return 0.250, entropy 1.500, confidence accuracy 0.750, mask share 0.125, "
        "15.0 env steps/s, 2:58 left"
    )
    assert again.describe(10_000).endswith("5:32:58 left")


def test_what_a_method_does_not_log_is_not_shown() -> None:
    assert _tally(1, {"loss": 1.0, "entropy": 0.5}).describe(1) == "entropy 0.500, 15.0 env steps/s, 0:00 left"


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    tally = Tally()
    display = Display(60, tally, stream)
    for _ in range(60):
        tally.add(NUMBERS, 2.0, 30)
        display.show(tally)
    display.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 20 and "\r" not in stream.getvalue()
    assert lines[0].startswith("update 3/60: Dice 0.500") and lines[-1].startswith("update 60/60")


def test_a_bar_in_a_terminal_goes_on_where_it_was() -> None:
    stream = Terminal()
    tally = _tally(10)
    display = Display(20, tally, stream)
    tally.add(NUMBERS, 2.0, 30)
    display.show(tally)
    display.close()
    assert "10/20" in stream.getvalue() and "0.500" not in stream.getvalue().partition("11/20")[0]
    assert "55%" in stream.getvalue() and "11/20, Dice 0.500" in stream.getvalue()
    assert "0:18 left" in stream.getvalue()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, start: int, stop: int) -> None:
    metrics = Metrics(path, start)
    for update in range(start, stop):
        metrics.add(update, update / 3, {"loss": update / 7, "dice": 0.5})
    metrics.close()


def test_rows_of_updates_that_are_made_again_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    _write(path, 0, 6)
    whole = path.read_bytes()
    path.write_bytes(whole + b"6,2.00,0.85")  # a row that was not finished
    _write(path, 4, 6)
    assert path.read_bytes() == whole
    assert [(row["update"], float(row["loss"])) for row in _rows(path)] == [(str(i), i / 7) for i in range(6)]
    _write(path, 0, 2)
    assert [row["update"] for row in _rows(path)] == ["0", "1"]


@pytest.mark.parametrize("text", [None, "", "update,seconds,loss\r\n0,0.1,1\r\n", "a\r\n0,1\r\n0,1\r\n2,1\r\n"])
def test_a_log_that_misses_rows_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "metrics.csv"
    if text is not None:
        path.write_text(text, newline="")
    with pytest.raises(RunError, match=r"metrics.csv: expected the rows of updates 0 to 2"):
        Metrics(path, 3)


def test_a_log_on_a_full_disk_is_one_error() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    metrics = Metrics(full)
    with pytest.raises(RunError, match="/dev/full: cannot be written: No space left on device"):
        metrics.add(0, 1.0, {"loss": 1.0})
    metrics.close()


def test_a_number_that_comes_later_is_refused(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.csv")
    metrics.add(0, 1.0, {"loss": 1.0})
    with pytest.raises(ValueError, match=r"expected \['loss'\] as in the first update, got \['loss', 'late'\]"):
        metrics.add(1, 2.0, {"loss": 1.0, "late": 1.0})
    metrics.close()


def _events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_events_hold_each_update_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for purge, start, stop, value in ((None, 0, 5, 1.0), (3, 3, 6, 2.0)):
        events = Events(tmp_path, purge, io.StringIO())
        for update in range(start, stop):
            events.add(update, {"loss": value})
        events.flush()
        events.close()
    assert _events(tmp_path) == {"loss": [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]}


def test_events_on_a_full_disk_are_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")

    def full(self: object, *arguments: object) -> None:
        raise OSError(28, "No space left on device")

    events = Events(tmp_path, None, io.StringIO())
    for name in ("add_scalar", "flush"):
        monkeypatch.setattr(tensorboard.SummaryWriter, name, full)
    for action in (lambda: events.add(0, {"loss": 1.0}), events.flush):
        with pytest.raises(RunError, match=f"{tmp_path}: TensorBoard events cannot be written.*No space left"):
            action()
    monkeypatch.undo()
    events.close()


def test_without_tensorboard_it_says_so_once_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importer = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if "tensorboard" in name:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return importer(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    stream = io.StringIO()
    events = Events(tmp_path / "tensorboard", None, stream)
    events.add(0, {"loss": 1.0})
    events.flush()
    events.close()
    assert stream.getvalue().count("no TensorBoard events are written") == 1
    assert 'pip install -e ".[tensorboard]"' in stream.getvalue()
    assert not (tmp_path / "tensorboard").exists()
