"""What is wrong with a rule beside what its definition says of itself: what only this server knows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from core.alerts.definition import definition_faults
from core.alerts.delivery.messages import check_template
from core.errors import DeliveryError
from core.signals import PROFILE_NAMES


def faults_of(body: Mapping[str, Any], channel_ids: Collection[int]) -> dict[str, str]:
    """Everything that keeps a rule from being saved: by field what to do."""
    faults = definition_faults(body)
    return faults | {
        field: said
        for field, said in further_faults(body, channel_ids).items()
        if field not in faults
    }


def further_faults(body: Mapping[str, Any], channel_ids: Collection[int]) -> dict[str, str]:
    """Templates that cannot be used, channels and profiles that are not here."""
    faults: dict[str, str] = {}
    for field in ("title", "body"):
        template = body.get(field)
        if isinstance(template, str) and template.strip():
            try:
                check_template(template, title=field == "title")
            except DeliveryError as error:
                faults[field] = str(error)
    asked = body.get("channels")
    listed = asked if isinstance(asked, list | tuple) else ()
    strangers = [one for one in listed if one not in channel_ids]
    if strangers:
        faults["channels"] = f"there is no shared channel {strangers[0]!r} here"
    profile = body.get("profile_name", PROFILE_NAMES[0])
    if isinstance(profile, str) and profile not in PROFILE_NAMES:
        faults["profile_name"] = f"must be {', '.join(PROFILE_NAMES)}"
    return faults
