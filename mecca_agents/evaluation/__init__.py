"""Playing every case of a split once, and what is measured, drawn and tested about it."""

from mecca_agents.evaluation.evaluate import COLUMNS, Result, evaluate, evaluate_agent, result_row, table
from mecca_agents.evaluation.reliability import Reliability

__all__ = ["COLUMNS", "Reliability", "Result", "evaluate", "evaluate_agent", "result_row", "table"]
