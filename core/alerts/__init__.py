"""Alert rules: what they say, when they fire."""

from core.alerts.evaluating import Evaluation
from core.alerts.expression import Rule, Shown, compile_rule
from core.alerts.functions import FUNCTIONS
from core.alerts.names import NAMES, Statistic
from core.alerts.reference import reference

__all__ = [
    "FUNCTIONS",
    "NAMES",
    "Evaluation",
    "Rule",
    "Shown",
    "Statistic",
    "compile_rule",
    "reference",
]
