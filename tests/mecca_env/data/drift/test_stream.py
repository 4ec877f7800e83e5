"""A stream is played segment after segment, in an order that is the seed's alone; what is no stream is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from mecca_env.data.base import DataError
from mecca_env.data.drift import DRIFTS, StreamSource, open_data
from mecca_env.episodes.stream import EpisodeStream
from mecca_env.vector_env import MeccaVectorEnv
from tests.support.envs import SETTINGS
from tests.support.volumes import write_decathlon

CUT: dict[str, Any] = {"extension": (1, 3), "rotation": 10.0, "evaluation_extension": 2}
ID = "MECCA-Stream-v0"


def _envs(num_envs: int = 1, **keywords: Any) -> MeccaVectorEnv:
    envs = gym.make_vec(ID, num_envs=num_envs, **{**SETTINGS, "drift": "contrast", "cases": 2, **keywords}).unwrapped
    assert isinstance(envs, MeccaVectorEnv)
    return envs


def _played(envs: MeccaVectorEnv, seed: int | None, episodes: int) -> list[tuple[list[int], list[int], list[int]]]:
    """Place, segment and case of every env in so many episodes."""
    _, info = envs.reset(seed=seed)
    found = []
    for _ in range(episodes):
        found.append(tuple(info[key].tolist() for key in ("stream_index", "segment", "case_index")))
        for _ in range(envs.config.horizon):
            *_, info = envs.step(torch.zeros((envs.num_envs, *envs.config.shape), dtype=torch.int64))
        assert info["final_info"]["stream_index"].tolist() == found[-1][0]
        assert info["final_info"]["segment"].tolist() == found[-1][1]
    return found


def test_segments_come_one_after_another_and_the_stream_begins_again() -> None:
    played = _played(_envs(2), 3, 7)
    assert [place for place, _, _ in played] == [[n % 6] * 2 for n in range(7)]
    assert [segment for _, segment, _ in played] == [[n % 6 // 2] * 2 for n in range(7)]
    for env in range(2):
        cases = [case[env] for *_, case in played]
        assert sorted(cases[:6]) == list(range(6)) and cases[6] == cases[0]
        assert all({*cases[first : first + 2]} == {first, first + 1} for first in (0, 2, 4))


def test_the_order_is_the_seeds_alone() -> None:
    cases = open_data("Stream", drift="contrast", cases=5, **CUT)

    def order(stream: EpisodeStream) -> list[int]:
        return [stream.next_case(cases) for _ in range(30)]

    found = order(EpisodeStream(7))
    assert found[:15] == found[15:] == cases.walk(np.random.default_rng(0), 7).tolist()
    assert found[:15] != order(EpisodeStream(8))[:15]
    drawn = EpisodeStream(7)
    drawn.rng.random(5)  # of a case that was asked for first, say: other data sets are shuffled by what comes next
    assert order(drawn) == found
    somebodys = [EpisodeStream.of(np.random.default_rng(1)) for _ in range(2)]
    assert order(somebodys[0]) == order(somebodys[1])


def test_a_case_that_is_asked_for_does_not_move_the_stream() -> None:
    envs = _envs()
    order = [case for *_, (case,) in _played(_envs(), 1, 6)]
    envs.reset(seed=1)
    _, info = envs.reset(options={"cases": [order[4]]})
    assert [info[key].tolist() for key in ("stream_index", "segment")] == [[4], [2]]
    _, info = envs.reset()
    assert info["case_index"].tolist() == [order[1]] and info["stream_index"].tolist() == [1]


def test_places_are_the_envs_own_memory() -> None:
    envs = _envs(2)
    for name in ("stream_index", "segment"):
        _, info = envs.reset(seed=0)
        info[name].add_(1)
        with pytest.raises(RuntimeError, match=rf"^info\['{name}'\]: expected what was handed out"):
            envs.step(torch.zeros((2, *envs.config.shape), dtype=torch.int64))


def test_a_snapshot_goes_on_within_the_stream() -> None:
    envs = _envs(2)
    _played(envs, 5, 3)
    kept = envs.snapshot()
    rest = _played(envs, None, 4)
    _, info = envs.restore(kept)
    assert info["stream_index"].tolist() == [3, 3] and info["segment"].tolist() == [1, 1]
    assert _played(envs, None, 4) == rest
    other = _envs(2, drift="scanner", cases=2)
    other.reset(seed=5)
    with pytest.raises(ValueError, match="names of the cases"):
        other.restore(kept)


def test_every_segment_of_a_built_in_stream_has_cases_of_its_own() -> None:
    for split, rest in (("train", 0), ("test", 1)):
        source = open_data("Stream", drift="scanner", split=split, cases=3, **CUT).source
        assert isinstance(source, StreamSource) and len(source) == 12 and source.name == "stream-scanner"
        assert source.segments == tuple(f"phantom-{domain.name}" for domain in DRIFTS["scanner"])
        assert [source.cases_of(segment) for segment in (0, 3)] == [range(3), range(9, 12)]
        own = [source.located(index)[1] for index in range(12)]
        assert own == [2 * n + rest for n in range(12)]
        assert source.case_name(4) == f"phantom-noisy_{own[4]:010d}-segment1"
    assert len(open_data("Stream", **CUT)) == 4 * 16
    for wrong in (-1, 12):
        with pytest.raises(IndexError, match=rf"stream-scanner case {wrong}: expected an index in \[0, 12\)"):
            source.case_name(wrong)
        with pytest.raises(IndexError, match="segment"):
            source.cases_of(wrong)


def test_data_sets_are_segments_and_may_come_back(tmp_path: Path) -> None:
    root = write_decathlon(tmp_path / "hippocampi", "abcde")
    files = {"env": "MECCA-Volumes-v0", "root": root, "split": "all"}
    sources = [{"env": "MECCA-Phantom-v0", "cases": 2}, {**files, "cases": ["b", "d"]}, {"env": "MECCA-Phantom-v0"}]
    source = open_data("Stream", sources, cases=3, split="test", **CUT).source
    assert isinstance(source, StreamSource) and source.name == "stream-phantom_then_hippocampi_then_phantom"
    names = [source.case_name(index) for index in range(len(source))]
    assert names == [
        *(f"phantom_{index:010d}-segment0" for index in (1, 3)),
        *(f"{name}-segment1" for name in "bd"),
        *(f"phantom_{index:010d}-segment2" for index in (5, 7, 9)),
    ]
    assert torch.equal(source.case(2).image, source.parts[1].source.case(0).image)
    assert len(open_data("Stream", [files, files], **CUT)) == 10
    assert len(open_data("Stream", [files, files], cases=2, **CUT)) == 4


def test_a_part_of_a_stream_keeps_its_order() -> None:
    whole = open_data("Stream", drift="contrast", **CUT)
    some = [whole.source.case_name(index) for index in (1, 3, 5, 17, 40, 44)]
    part = open_data("Stream", drift="contrast", cases=some, **CUT)
    assert part.indices.tolist() == [1, 3, 5, 17, 40, 44]  # type: ignore[union-attr]
    order = part.walk(np.random.default_rng(0), 4)
    assert [part.source.segment(int(index)) for index in order] == [0, 0, 0, 1, 2, 2]  # type: ignore[attr-defined]
    assert [part.place(int(index), 4) for index in order][3:5] == [(3, 1), (4, 2)]


def test_as_a_data_set_it_is_a_memory_of_the_stream() -> None:
    stream = _envs()
    memory = gym.make_vec("MECCA-Phantom-v0", num_envs=2, dataset=stream.dataset, cases=[0, 3], **SETTINGS).unwrapped
    _, info = memory.reset(seed=0)
    assert {*info["case_index"].tolist()} <= {0, 3} and "segment" not in info
    one, other = (envs.reset(options={"cases": [3] * envs.num_envs})[0] for envs in (stream, memory))
    assert stream.case_name(0) == memory.case_name(0) and stream.case_name(0).startswith("phantom-dark")
    assert one["volume"].shape[1:] == other["volume"].shape[1:]


def test_cases_are_labelled_where_they_are_in_their_segment(tmp_path: Path) -> None:
    root = write_decathlon(tmp_path / "set", "abcd")
    sources = [{"env": "MECCA-Volumes-v0", "root": root, "split": "all"}, {"env": "MECCA-Phantom-v0", "cases": 6}]
    cases = open_data("Stream", sources, labelled_cases=2, **CUT)
    assert [sum(cases.is_labelled(index) for index in part) for part in (range(4), range(4, 10))] == [2, 2]
    order, labelled = cases.walk(np.random.default_rng(0), 9), cases.walk(np.random.default_rng(0), 9, True)
    assert labelled.tolist() == [case for case in order if cases.is_labelled(int(case))]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"drift": "organs"}, "^drift: expected one of organ, contrast, scanner, got 'organs'"),
        ({"drift": "organ", "sources": [{"env": "MECCA-Phantom-v0"}]}, "^drift: expected None beside sources"),
        (
            {"root": "/data"},
            "^root, label, modalities and prompts belong to each of the sources of a stream, got root='/data'",
        ),
        ({"weight": 2.0}, "^weight: expected none for a stream"),
        ({"cases": 0}, "^cases: expected a number of at least 1 for each segment, names or indices, got 0"),
        ({"cases": True}, "^cases: expected a number"),
        ({"cases": ["nobody"]}, "^case: expected one of the 64 cases"),
        (
            {"sources": [{"env": "MECCA-Phantom-v0", "weight": 2.0}]},
            r"^sources\[0\]: expected no weight in a stream, got 2.0",
        ),
        ({"sources": [{"env": "MECCA-Stream-v0"}]}, "^dataset: expected one of .*, got 'Stream'"),
        ({"sources": ["MECCA-Phantom-v0"]}, r"^sources\[0\]: expected a mapping"),
    ],
)
def test_what_is_no_stream_is_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_data("Stream", **{**CUT, **keywords})


def test_drift_belongs_to_the_stream_alone() -> None:
    with pytest.raises(ValueError, match="^drift: expected None but for MECCA-Stream-v0, got 'organ'"):
        gym.make("MECCA-Phantom-v0", drift="organ", **SETTINGS)


def test_segments_have_the_same_modalities(tmp_path: Path) -> None:
    two = {"env": "MECCA-Volumes-v0", "root": write_decathlon(tmp_path / "set", channels=2)}
    with pytest.raises(DataError, match="^sources: expected the 1 modalities of phantom, found 2 of set"):
        open_data("Stream", [{"env": "MECCA-Phantom-v0"}, two], **CUT)
