"""Looks for unsafe code (bandit) and known holes in what is installed (pip-audit): `make holes`.

1 when there is a finding that is not explained below, an explanation that explains nothing any more, or a
known hole. Where nobody can be asked about holes that is said as loudly as can be, and is no failure:
whether code is right must not depend on another's server.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"
LONGEST_SECONDS = 240

_NAMES = "the names put in are those of our own tables and columns; values are bound"
_CHANCE = "the chance of simulated markets, which is to be the same for the same seed"
# Findings of bandit that are none, by test and file, and why.
EXPLAINED: Mapping[str, str] = {
    "B101 *": "asserts tell the type checker what was seen to before; no input is checked by them",
    "B404 *": "that a process is started is looked at where it is, by B603",
    "B105 core/accounts/organisation.py": "says of whom an organisation signs in that there is no password",
    "B105 core/alerts/scanning.py": "tokens of the language of rules, such as brackets",
    "B105 core/ui/alerts/changes.py": "the words for a change in the log, not what was changed",
    "B105 core/ui/alerts/channel_form.py": "the key of a field, not what is put in there",
    "B107 core/alerts/delivery/targets.py": "the empty text stands for no signing secret",
    "B104 core/ui/lifespan.py": "compares the address that was set, and listens nowhere",
    "B311 core/bench.py": "made-up bars that are measured with",
    "B311 core/market/demo.py": _CHANCE,
    "B311 core/market/simulator.py": _CHANCE,
    "B603 core/jobs/sender.py": "this very program, without a shell and without arguments",
    "B603 core/jobs/sending_apart.py": "this very program, without a shell and without arguments",
    "B603 core/keeping/postgres.py": "PostgreSQL's tools by their paths, without a shell",
    "B608 core/store/append_only.py": _NAMES,
    "B608 core/store/bookkeeping.py": _NAMES,
    "B608 core/store/bulk.py": _NAMES,
    "B608 core/store/migrations/versions/0006_append_only.py": _NAMES,
    "B608 core/store/migrations/versions/0008_alerts.py": _NAMES,
}
# Known holes that do not concern this product, by their id, and why.
TOLERATED: Mapping[str, str] = {}
_UNREACHABLE = re.compile("connection|timed? ?out|resolve|unreachable|proxy|ssl|service", re.I)


def main() -> int:
    faults = [*unexplained(bandit()), *known_holes(*pip_audit())]
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


def bandit() -> list[dict[str, Any]]:
    """What bandit finds in everything that runs."""
    command = [sys.executable, "-m", "bandit", "-q", "-r", "core", "app.py", "pages", "-f", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert not told["errors"], told["errors"]
    found: list[dict[str, Any]] = told["results"]
    return found


def unexplained(
    found: Iterable[Mapping[str, Any]], explained: Mapping[str, str] = EXPLAINED
) -> Iterable[str]:
    """A sentence for each finding without an explanation, and each explanation without a finding."""
    used = set()
    for one in found:
        file = str(one["filename"]).removeprefix("./")
        ways = {f"{one['test_id']} {file}", f"{one['test_id']} *"} & set(explained)
        used |= ways
        if not ways:
            yield f"{file}:{one['line_number']}: {one['test_id']} {one['issue_text']}"
    for name in sorted(set(explained) - used):
        yield f"tests/holes.py explains {name}, which is not found any more: take it out."


def pip_audit() -> tuple[str, str]:
    """What pip-audit says of the lock, as JSON, and what it says beside that."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--requirement",
        LOCK,
        "--no-deps",
        "--disable-pip",
    ]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "", f"it timed out after {LONGEST_SECONDS} s"
    return done.stdout, done.stderr


def known_holes(told: str, beside: str, tolerated: Mapping[str, str] = TOLERATED) -> Iterable[str]:
    """A sentence for each known hole; what could not be asked about is shouted, and no hole."""
    try:
        packages = json.loads(told)["dependencies"]
    except (ValueError, KeyError):
        if not _UNREACHABLE.search(beside):
            yield f"pip-audit failed: {beside.strip()[-500:]}"
            return
        shout(f"NO PACKAGE WAS AUDITED FOR KNOWN HOLES: {beside.strip()[-300:]}")
        return
    left_out = [one["name"] for one in packages if "skip_reason" in one]
    if left_out:
        which = ", ".join(left_out[:5]) + (" and others" if len(left_out) > 5 else "")
        shout(
            f"{len(left_out)} OF {len(packages)} PACKAGES WERE NOT AUDITED FOR KNOWN HOLES ({which}): "
            "the service that knows of them could not be asked. Run make holes where it can."
        )
    for one in packages:
        for hole in one.get("vulns", ()):
            if hole["id"] not in tolerated and not set(hole.get("aliases", ())) & set(tolerated):
                fixed = ", ".join(hole["fix_versions"]) or "no version yet"
                yield f"{one['name']} {one['version']} has the known hole {hole['id']}; fixed in {fixed}."


def shout(words: str) -> None:
    line = "!" * 78
    sys.stderr.write(f"{line}\n{words}\n{line}\n")


if __name__ == "__main__":
    sys.exit(main())
