"""The second factor: codes from a person's own device, and recovery codes for who has lost it.

The secret that both sides share is sealed at rest. A code is good for its half minute and the ones
before and after it, and once; a recovery code is good once. Trying is limited by who calls: see
`core.accounts.sign_in`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pyotp
from sqlalchemy import Connection, delete, func, insert, select, update

from core.accounts import ending
from core.accounts.people import Person, note_change
from core.accounts.tokens import digest
from core.alerts.delivery.sealing import Sealer
from core.errors import AccessDenied, AccountError, DeliveryError
from core.store.tables import recovery_codes, second_factors

ISSUER = "CryptoSatX"
STEP_SECONDS, DRIFT_STEPS = 30, 1
RECOVERY_CODES = 10
WRONG = "That code is not right. Each is good once and for about a minute: write the next one."
# Without letters and digits that are mistaken for each other.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_OF_DEVICE = re.compile("[0-9]{6}")
_TO_RECOVER = re.compile(rf"[{_ALPHABET}]{{16}}")
_NO_KEY = (
    "The second factor of this account was sealed with a key that is not here: bring back the key "
    "(CRYPTOSATX_SECRET_KEY or the file secret.key), or take the factor away by `python -m core user "
    "reset-factor`."
)


@dataclass(frozen=True)
class Factor:
    """What a person has: since when it counts (None: begun and never confirmed), and how many
    recovery codes are left."""

    confirmed_at: datetime | None
    codes_left: int


def is_code(text: str) -> bool:
    """Whether a text can be a code of a device. No password is one, however it is spaced: such are
    refused when they are set (`core.accounts.passwords.check_password`).

    >>> is_code("123 456"), is_code("abcd-efgh-2345-6789")
    (True, False)
    """
    return _OF_DEVICE.fullmatch(_plain(text)) is not None


def load_factor(conn: Connection, user_id: int) -> Factor | None:
    """What a person has, or None."""
    mine = second_factors.c.user_id == user_id
    row = conn.execute(select(second_factors.c.confirmed_at).where(mine)).first()
    if row is None:
        return None
    left = select(func.count()).where(recovery_codes.c.user_id == user_id)
    return Factor(row.confirmed_at, conn.scalar(left) or 0)


def any_factors(conn: Connection) -> bool:
    """Whether anybody has begun to have one."""
    return conn.execute(select(second_factors.c.user_id).limit(1)).first() is not None


def begin(conn: Connection, user_id: int, sealer: Sealer, *, now: datetime) -> str:
    """The secret for a person's device, in base 32; it counts once `confirm` has had a code of it.

    One that was begun before and not confirmed is worth nothing from now on.
    """
    conn.execute(
        delete(second_factors).where(
            second_factors.c.user_id == user_id, second_factors.c.confirmed_at.is_(None)
        )
    )
    if load_factor(conn, user_id) is not None:
        raise AccountError("There is a second factor already: turn it off to set up another one.")
    secret = pyotp.random_base32()
    row = {"user_id": user_id, "secret": sealer.seal(secret), "made_at": now, "last_step": 0}
    conn.execute(insert(second_factors).values(row))
    return secret


def address_of(secret: str, person: Person) -> str:
    """What the square of dots says to the device."""
    return pyotp.TOTP(secret).provisioning_uri(name=person.username, issuer_name=ISSUER)


def confirm(
    conn: Connection, person: Person, code: str, sealer: Sealer, *, now: datetime, keep: str = ""
) -> list[str]:
    """Let the factor count from now on; its recovery codes, which are never to be had again.

    ``keep`` is the session in which it is done; the others end, as they began without it.
    """
    user_id = _known(person)
    mine = (second_factors.c.user_id == user_id) & second_factors.c.confirmed_at.is_(None)
    if conn.execute(select(second_factors.c.user_id).where(mine)).first() is None:
        raise AccountError("There is no second factor to confirm: begin anew.")
    if not _take_step(conn, user_id, code, sealer, now):
        raise AccessDenied(WRONG)
    conn.execute(update(second_factors).where(mine).values(confirmed_at=now))
    ended = ending.end_sessions(conn, user_id, keep=keep)
    made = _make_codes(conn, user_id)
    note_change(conn, person, "factor on", person.username, now, after={"sessions_ended": ended})
    return made


def renew_codes(conn: Connection, person: Person, *, now: datetime) -> list[str]:
    """Ten more recovery codes in the place of those that are left."""
    user_id = _known(person)
    factor = load_factor(conn, user_id)
    if factor is None or factor.confirmed_at is None:
        raise AccountError("There is no second factor, and so nothing to recover.")
    made = _make_codes(conn, user_id)
    note_change(conn, person, "recovery codes", person.username, now)
    return made


def remove(conn: Connection, person: Person, *, by: str, now: datetime) -> None:
    """Take a person's factor away. Where somebody else does it, every session of the person ends."""
    user_id = _known(person)
    conn.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    removed = conn.execute(delete(second_factors).where(second_factors.c.user_id == user_id))
    if not removed.rowcount:
        raise AccountError(f"{person.username} has no second factor.")
    ended = 0
    if by != person.username:
        ended = ending.end_sessions(conn, user_id)
    note_change(conn, person, "factor off", by, now, after={"sessions_ended": ended})


def take_code(
    conn: Connection, person: Person, code: str, sealer: Callable[[], Sealer], *, now: datetime
) -> bool:
    """Whether a code is right, of the device or to recover; from then on it is used up."""
    user_id = _known(person)
    wanted = _plain(code)
    if _OF_DEVICE.fullmatch(wanted):
        return _take_step(conn, user_id, wanted, sealer(), now)
    if not _TO_RECOVER.fullmatch(wanted):
        return False
    mine = recovery_codes.c.code_hash == _digest(user_id, wanted)
    taken = conn.execute(delete(recovery_codes).where(mine)).rowcount
    if taken:
        left = select(func.count()).where(recovery_codes.c.user_id == user_id)
        note_change(
            conn, person, "recovered", person.username, now,
            after={"codes_left": conn.scalar(left) or 0},
        )  # fmt: skip
    return taken > 0


def reseal(conn: Connection, sealer: Sealer) -> int:
    """Seal with the newest key what was sealed with an older one; how many."""
    resealed = 0
    for row in conn.execute(select(second_factors.c.user_id, second_factors.c.secret)).all():
        sealed = sealer.reseal(row.secret)
        if sealed is not None:
            same = (second_factors.c.user_id == row.user_id) & (
                second_factors.c.secret == row.secret
            )
            changed = update(second_factors).where(same).values(secret=sealed)
            resealed += conn.execute(changed).rowcount
    return resealed


def _take_step(conn: Connection, user_id: int, code: str, sealer: Sealer, now: datetime) -> bool:
    """Whether a code is of now, and later than the last one that was taken; of two who bring the same
    one at once, one is let through."""
    mine, wanted = second_factors.c.user_id == user_id, _plain(code)
    sealed = conn.scalar(select(second_factors.c.secret).where(mine))
    if sealed is None or not _OF_DEVICE.fullmatch(wanted):
        return False
    try:
        totp = pyotp.TOTP(sealer.unseal(sealed))
    except DeliveryError:
        raise AccountError(_NO_KEY) from None
    present = int(now.timestamp()) // STEP_SECONDS
    right = [
        step
        for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1)
        if secrets.compare_digest(totp.generate_otp(step), wanted)
    ]
    if not right:
        return False
    later = mine & (second_factors.c.last_step < right[-1])
    taken = conn.execute(update(second_factors).where(later).values(last_step=right[-1]))
    return taken.rowcount > 0


def _make_codes(conn: Connection, user_id: int) -> list[str]:
    conn.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    plain = ["".join(secrets.choice(_ALPHABET) for _ in range(16)) for _ in range(RECOVERY_CODES)]
    rows = [{"code_hash": _digest(user_id, code), "user_id": user_id} for code in plain]
    conn.execute(insert(recovery_codes), rows)
    return ["-".join(code[at : at + 4] for at in range(0, 16, 4)) for code in plain]


def _digest(user_id: int, code: str) -> str:
    # 79 random bits: a plain digest cannot be turned back. The person in it keeps codes of two apart.
    return digest(f"recovery {user_id} {code}")


def _plain(code: str) -> str:
    """A code as it is compared.

    >>> _plain(" 123 456 "), _plain("ABCD-efgh-2345-6789")
    ('123456', 'abcdefgh23456789')
    """
    return re.sub(r"[\s-]", "", code).lower()


def _known(person: Person) -> int:
    if person.id is None:
        raise AccountError("A guest has no account, and so no second factor.")
    return person.id
