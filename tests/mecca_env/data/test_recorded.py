"""Recorded prompts: written, read, found by the names of cases in data sets, mixtures and streams, refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mecca_env.data.base import DataError
from mecca_env.data.drift import open_data
from mecca_env.data.recorded import RecordedPrompts, Recordings, most_of, read_recordings, write_recordings
from tests.support.volumes import write_pairs

CUT: dict[str, Any] = {"extension": (1, 3), "rotation": 10.0, "evaluation_extension": 2}


def recorded(*steps: list[list[float]], box: Any = None) -> RecordedPrompts:
    """Points with sides before each step."""
    return RecordedPrompts.from_plain({"box": box, "steps": list(steps)})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    first = recorded([[1.5, 2, 3, 1], [4, 5, 6.25, -1]], [], box=[[1, 2, 3], [4, 5, 6]])
    write_recordings(tmp_path / "prompts.json", {"a": first, "b": recorded([[0, 0, 0, 0]])})
    found = read_recordings(tmp_path / "prompts.json", 0.5)
    assert (
        found.share == 0.5 and found.cases["a"].plain == first.plain and found.cases["a"].box == ((1, 2, 3), (4, 5, 6))
    )
    np.testing.assert_array_equal(found.cases["a"].points[0], [[1.5, 2, 3], [4, 5, 6.25]])
    assert [signs.tolist() for signs in found.cases["a"].signs] == [[1, -1], []]
    assert found.identity != Recordings(found.cases, 0.25).identity
    assert found.identity == read_recordings(tmp_path / "prompts.json", 0.5).identity
    assert most_of([found], 2) == (2, 2) and most_of([found], 1) == (2, 2) and most_of([], 3) == (0, 0)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"format": 2, "cases": {}}',
        '{"format": 1, "cases": {"a": {"box": null, "steps": []}}}',
        '{"format": 1, "cases": {"a": {"box": null, "steps": [[[1, 2, 3]]]}}}',
        '{"format": 1, "cases": {"a": {"box": null, "steps": [[[1, 2, 3, 2]]]}}}',
        '{"format": 1, "cases": {"a": {"box": null, "steps": [[[1, 2, NaN, 1]]]}}}',
        '{"format": 1, "cases": {"a": {"box": [[1, 2], [3, 4]], "steps": [[]]}}}',
    ],
)
def test_what_is_none_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"prompts\.json: expected recorded prompts, found something else"):
        read_recordings(path)


def test_a_missing_file_and_a_share_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing: expected recorded prompts, found No such file"):
        read_recordings(tmp_path / "nothing")
    for share in (-0.1, 1.1, float("nan"), True, "half"):
        with pytest.raises(ValueError, match="prompted: expected a number in .0, 1., got"):
            read_recordings(tmp_path / "nothing", share)  # type: ignore[arg-type]


def test_prompts_of_no_case_are_told(tmp_path: Path) -> None:
    root, path = write_pairs(tmp_path / "data", ("a", "b")), tmp_path / "prompts.json"
    write_recordings(path, {"z": recorded([[1, 2, 3, 1]])})
    with pytest.warns(UserWarning, match=r"^prompts: expected names .* 2 cases, 'a' for one, found none .* has 'z'"):
        open_data("Volumes", root=root, split="all", prompts=path, **CUT)
    open_data("Phantom", prompts=path, **CUT)  # too many cases to look


def test_each_source_has_its_own(tmp_path: Path) -> None:
    """Of a mixture and of a stream, by the name that a case has in its data set; the first has none here."""
    root, path = str(write_pairs(tmp_path / "data", ("a", "b"))), tmp_path / "prompts.json"
    write_recordings(path, {"a": recorded([[1, 2, 3, 1]])})
    source = {"env": "MECCA-Volumes-v0", "root": root, "split": "all", "prompts": str(path), "prompted": 0.25}
    for cases in (open_data("Shapes", [source], **CUT), open_data("Stream", [source], **CUT)):
        (recordings,) = cases.every_recording()
        assert recordings.share == 0.25
        found = {cases.source.case_name(i)[0]: cases.recorded(i) for i in list(cases.indices[:40])}
        assert found["a"] is not None and found["a"][1] == 0.25 and found["b"] is None
        assert found.get("s") is None
    plain = open_data("Volumes", root=root, split="all", prompts=path, **CUT)
    assert plain.recorded(0) is not None and plain.recorded(1) is None
    assert open_data("Volumes", root=root, split="all", **CUT).every_recording() == []
    with pytest.raises(ValueError, match="prompts belong to each of the sources of a stream"):
        open_data("Stream", prompts=path, **CUT)
    assert json.loads(path.read_text())["format"] == 1
