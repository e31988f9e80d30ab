"""Eight factors, one score."""

from core.signals.profile import (
    FACTORS,
    PROFILE_NAMES,
    Profile,
    load_profile,
    parse_profile,
    profile_faults,
)
from core.signals.schedule import Schedule
from core.signals.scoring import score

__all__ = [
    "FACTORS",
    "PROFILE_NAMES",
    "Profile",
    "Schedule",
    "load_profile",
    "parse_profile",
    "profile_faults",
    "score",
]
