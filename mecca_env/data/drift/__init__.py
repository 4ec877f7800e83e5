"""Streams of cases whose distribution changes, for research on continual learning."""

from mecca_env.data.drift.domains import DRIFTS, Domain
from mecca_env.data.drift.opening import STREAM, open_data
from mecca_env.data.drift.source import StreamSource

__all__ = ["DRIFTS", "STREAM", "Domain", "StreamSource", "open_data"]
