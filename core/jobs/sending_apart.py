"""One message to one address, sent by a process of its own.

The server of the pages sends tests of channels so: what `core.alerts.delivery.guarding` does to a process
ends with it, and a service that hangs is ended. All goes through pipes, as secrets must.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from core.alerts.delivery import Allowed, Outcome, Target
from core.alerts.delivery.outcome import refused, unreachable
from core.alerts.delivery.targets import open_target
from core.alerts.delivery.webhook import Sent
from core.errors import DeliveryError
from core.settings import ROOT

LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class _Told:
    key: str
    severity: str
    body: Mapping[str, Any]
    made_at: datetime


def send_apart(target: Target, allowed: Allowed, message: Sent, now: datetime) -> Outcome:
    """What came of sending a message to a target."""
    told = {
        "kind": target.kind,
        "kept": target.kept(),
        "private": [str(network) for network in allowed.private],
        "message": {
            "key": message.key,
            "severity": message.severity,
            "body": dict(message.body),
            "made_at": message.made_at.isoformat(),
        },
        "now": now.isoformat(),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(told),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LONGEST_SECONDS,
            cwd=ROOT,
            text=True,
            check=True,
        )
        return Outcome(**json.loads(done.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        return unreachable("It did not end in time.")
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        # Their words hold what was told.
        return unreachable("It could not be sent: the process for it ended early.")


def _send(told: Mapping[str, Any]) -> Outcome:
    message = told["message"] | {"made_at": datetime.fromisoformat(told["message"]["made_at"])}
    allowed = Allowed(ip_network(text) for text in told["private"])
    try:
        with open_target(Target.from_kept(told["kind"], told["kept"]), allowed) as send:
            return send(_Told(**message), datetime.fromisoformat(told["now"]))
    except DeliveryError as error:
        return refused(str(error))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_send(json.load(sys.stdin)))) + "\n")
