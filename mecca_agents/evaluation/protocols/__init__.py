"""Evaluations as the field's challenges do them, on a scan's own grid."""

from mecca_agents.evaluation.protocols.cvpr25 import (
    InteractiveScores,
    ScanScores,
    area_under_clicks,
    interactive_scores,
    scan_scores,
)
from mecca_agents.evaluation.protocols.on_scan import CaseOnScan

__all__ = ["CaseOnScan", "InteractiveScores", "ScanScores", "area_under_clicks", "interactive_scores", "scan_scores"]
