"""How messages of alerts get out: whom to trust with what, and what came of it.

``targets`` reads what a person wrote of a channel and opens it for sending, ``webhook`` and ``services``
are its two kinds, ``answers`` notes what the latter were told, ``addresses`` and ``guarding`` keep both
out of private networks, ``sealing`` keeps secrets encrypted at rest, ``messages`` makes the text and
``retrying`` says when to try again.
"""

from core.alerts.delivery.addresses import Allowed, allowed_targets
from core.alerts.delivery.messages import (
    DEFAULT_TEXT,
    DEFAULT_TITLE,
    EXAMPLE,
    VARIABLES,
    check_template,
    compose,
    preview,
)
from core.alerts.delivery.outcome import Outcome
from core.alerts.delivery.retrying import next_attempt
from core.alerts.delivery.sealing import Sealer, load_sealer
from core.alerts.delivery.targets import Target, Written, parse_target

__all__ = [
    "DEFAULT_TEXT",
    "DEFAULT_TITLE",
    "EXAMPLE",
    "VARIABLES",
    "Allowed",
    "Outcome",
    "Sealer",
    "Target",
    "Written",
    "allowed_targets",
    "check_template",
    "compose",
    "load_sealer",
    "next_attempt",
    "parse_target",
    "preview",
]
