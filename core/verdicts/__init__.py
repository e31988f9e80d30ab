"""Verdicts on signals."""

from core.verdicts.rules import RISK_MODES, VERDICTS, judge_by_rules

__all__ = ["RISK_MODES", "VERDICTS", "judge_by_rules"]
