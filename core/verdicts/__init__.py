"""Verdicts on signals."""

from core.verdicts.rules import RISK_MODES, VERDICTS, judge_by_rules
from core.verdicts.standing import as_frame, settle, settle_row

__all__ = ["RISK_MODES", "VERDICTS", "as_frame", "judge_by_rules", "settle", "settle_row"]
