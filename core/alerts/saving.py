"""Everything that keeps a rule from being saved: what its definition says, its templates, what it names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from core.alerts.definition import definition_faults, taken_name
from core.alerts.delivery.messages import check_template
from core.errors import DeliveryError
from core.signals import PROFILE_NAMES


def saving_faults(
    body: Mapping[str, Any], channel_ids: Collection[int], other_names: Collection[str] = ()
) -> dict[str, str]:
    """Everything that keeps a rule from being saved: by field what to do."""
    faults = definition_faults(body)
    found = further_faults(body) | strange_channels(body, channel_ids)
    if said := taken_name(str(body.get("name", "")).strip(), other_names):
        found["name"] = said
    return faults | {field: said for field, said in found.items() if field not in faults}


def further_faults(body: Mapping[str, Any]) -> dict[str, str]:
    """Templates that cannot be used, and a profile that there is not."""
    faults: dict[str, str] = {}
    for field in ("title", "body"):
        template = body.get(field)
        if isinstance(template, str) and template.strip():
            try:
                check_template(template, title=field == "title")
            except DeliveryError as error:
                faults[field] = str(error)
    profile = body.get("profile_name", PROFILE_NAMES[0])
    if isinstance(profile, str) and profile not in PROFILE_NAMES:
        faults["profile_name"] = f"must be {', '.join(PROFILE_NAMES)}"
    return faults


def strange_channels(body: Mapping[str, Any], channel_ids: Collection[int]) -> dict[str, str]:
    """A channel that is not here, or not any more."""
    asked = body.get("channels")
    listed = asked if isinstance(asked, list | tuple) else ()
    strangers = [one for one in listed if one not in channel_ids]
    return {"channels": f"there is no shared channel {strangers[0]!r} here"} if strangers else {}
