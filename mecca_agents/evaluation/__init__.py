"""Evaluations: every case of a split played once, and what is measured, drawn and tested about it."""

from mecca_agents.evaluation.reliability import Reliability
from mecca_agents.evaluation.runner import COLUMNS, Result, dice_by_step, evaluate, evaluate_agent, result_row, table

__all__ = ["COLUMNS", "Reliability", "Result", "dice_by_step", "evaluate", "evaluate_agent", "result_row", "table"]
