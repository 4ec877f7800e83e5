"""Evaluations: every case of a split played once, and what is measured, drawn and tested about it."""

from mecca_agents.evaluation.reliability import Reliability
from mecca_agents.evaluation.results import COLUMNS, Result, dice_by_step, result_row, table
from mecca_agents.evaluation.runner import evaluate, evaluate_agent

__all__ = ["COLUMNS", "Reliability", "Result", "dice_by_step", "evaluate", "evaluate_agent", "result_row", "table"]
