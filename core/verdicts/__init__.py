"""Verdicts on signals."""

from core.verdicts.rules import RISK_MODES, VERDICTS, judge_by_rules
from core.verdicts.standing import settle

__all__ = ["RISK_MODES", "VERDICTS", "judge_by_rules", "settle"]
