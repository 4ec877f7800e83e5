"""Reports of benchmarks: tables, figures, intervals and tests."""

from mecca_agents.report.document import report

__all__ = ["report"]
