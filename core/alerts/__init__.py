"""Alert rules: what they say, when they fire."""

from core.alerts.evaluating import Evaluation
from core.alerts.expression import Rule, Shown, compile_rule

__all__ = ["Evaluation", "Rule", "Shown", "compile_rule"]
