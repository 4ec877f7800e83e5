"""Methods compared on one data set: trained and tested cell by cell."""

from mecca_agents.benchmark.cells import Cell
from mecca_agents.benchmark.plan import Plan, settle
from mecca_agents.benchmark.runner import Outcome, benchmark, run_cell

__all__ = ["Cell", "Outcome", "Plan", "benchmark", "run_cell", "settle"]
