"""From the keywords of an environment to its cases: of one data set, of a mixture, or of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np

from mecca_env.data.base import VolumeSource
from mecca_env.data.drift.domains import DRIFTS, DomainSource
from mecca_env.data.drift.source import StreamCases, StreamSource
from mecca_env.data.mixture import MEMORY_BYTES, open_mixture, own_keywords, read_source
from mecca_env.data.procedural.source import ProceduralSource, procedural_split
from mecca_env.data.selection import Cases, open_cases

STREAM = "Stream"
"""The key inside the id of the environment that plays a stream."""

SEGMENT = 16
"""Cases of a segment that is drawn and not read, where no number is given."""

_CUT = ("extension", "rotation", "evaluation_extension", "whole", "device", "memory_bytes")
_LABELLED = ("labelled_fraction", "labelled_cases", "labelled_draw")


def open_data(
    dataset: str | VolumeSource,
    sources: Sequence[Mapping[str, Any]] = (),
    weight: float = 1.0,
    drift: str | None = None,
    **keywords: Any,
) -> Cases:
    """Open what an environment plays.

    Args:
        dataset: A key, `STREAM` for one, or a source.
        sources: What is mixed with it (`mecca_env.data.mixture.open_mixture`); of a stream, its segments in order.
        weight: In the mixture.
        drift: What changes from segment to segment of a built-in stream, a key of `DRIFTS`; None: the organ.
        **keywords: As `mecca_env.data.selection.open_cases` takes them.

    Raises:
        ValueError: An argument is out of range, or means nothing where it is given.
        TypeError: `sources` is no sequence; or as `open_cases`.
        DataError: A data set cannot be used, or they have different numbers of modalities.
    """
    if sources and not isinstance(sources, Iterable):
        raise TypeError(f"sources: expected a sequence of mappings, got {sources!r}")
    if not isinstance(dataset, str) or dataset != STREAM:
        if drift is not None:
            raise ValueError(f"drift: expected None but for MECCA-{STREAM}-v0, got {drift!r}")
        return open_mixture(dataset, sources, weight, **keywords)
    if weight != 1.0:
        raise ValueError(f"weight: expected none for a stream, whose data sets come one after another, got {weight!r}")
    return open_stream(sources, drift, **keywords)


def open_stream(
    sources: Sequence[Mapping[str, Any]],
    drift: str | None,
    *,
    split: str = "train",
    cases: int | Sequence[str | int] | None = None,
    root: object = None,
    label: object = None,
    modalities: object = None,
    prompts: object = None,
    **keywords: Any,
) -> StreamCases:
    """Open the segments of a stream.

    Args:
        sources: Of each segment, as in a mixture, but without a weight; none: those of `drift`.
        drift: As `open_data` takes it.
        split: Of every segment whose source does not say its own.
        cases: So many of each segment, where its source does not say which; or names or indices of cases of the stream
            that has the usual number.
        root: None, as `label`, `modalities` and `prompts`: each source has its own.
        label: None.
        modalities: None.
        prompts: None.
        **keywords: As `open_cases` takes them.

    Raises:
        ValueError, DataError: As `open_data`.
    """
    if any(given is not None for given in (root, label, modalities, prompts)):
        raise ValueError(
            "root, label, modalities and prompts belong to each of the sources of a stream, "
            f"got root={root!r}, label={label!r}, modalities={modalities!r}, prompts={prompts!r}"
        )
    if sources and drift is not None:
        raise ValueError(f"drift: expected None beside sources, which are the segments, got {drift!r}")
    if drift is not None and (not isinstance(drift, str) or drift not in DRIFTS):
        raise ValueError(f"drift: expected one of {', '.join(DRIFTS)}, got {drift!r}")
    count = None if cases is None or isinstance(cases, (str, Sequence, np.ndarray)) else _count(cases)
    keywords |= {"split": split, "memory_bytes": MEMORY_BYTES}
    if sources:
        parts = _given(sources, count, keywords)
        source = StreamSource("stream-" + "_then_".join(part.source.name for part in parts), parts)
    else:
        drift = drift or next(iter(DRIFTS))
        source = StreamSource(f"stream-{drift}", _drawn(drift, count or SEGMENT, keywords), (drift, DRIFTS[drift]))
    chosen = open_cases(source, cases=None if count is not None else cases, **keywords)
    return StreamCases(
        source, split, chosen.indices, **{name: keywords[name] for name in _LABELLED if name in keywords}
    )


def _drawn(drift: str, count: int, keywords: Mapping[str, Any]) -> list[Cases]:
    """The segments of a built-in stream: every one draws other cases."""
    cut, labelled = _some(keywords, _CUT), _some(keywords, _LABELLED)
    indices = procedural_split(keywords["split"])
    return [
        Cases(DomainSource(domain, **cut), keywords["split"], indices[n * count : (n + 1) * count], **labelled)
        for n, domain in enumerate(DRIFTS[drift])
    ]


def _given(sources: Sequence[Mapping[str, Any]], count: int | None, keywords: Mapping[str, Any]) -> list[Cases]:
    """The segments that were asked for. What is drawn and not read has other cases in each segment."""
    parts, taken = [], Counter[str]()
    for number, given in enumerate(sources):
        if isinstance(given, Mapping) and "weight" in given:
            raise ValueError(f"sources[{number}]: expected no weight in a stream, got {given['weight']!r}")
        source = read_source(number, given)
        own = {"cases": count} | {name: value for name, value in own_keywords(source).items() if value is not None}
        part = open_cases(source["dataset"], **{**keywords, **own})
        if isinstance(part.source, ProceduralSource) and (own["cases"] is None or hasattr(own["cases"], "__index__")):
            many, name = own["cases"] or SEGMENT, part.source.name
            indices = procedural_split(part.split)[taken[name] : taken[name] + many]
            part = Cases(part.source, part.split, indices, **_some(keywords, _LABELLED))
            taken[name] += many
        parts.append(part)
    return parts


def _some(keywords: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: keywords[name] for name in names if name in keywords}


def _count(cases: Any) -> int:
    if isinstance(cases, bool) or not hasattr(cases, "__index__") or index(cases) < 1:
        raise ValueError(f"cases: expected a number of at least 1 for each segment, names or indices, got {cases!r}")
    return index(cases)
