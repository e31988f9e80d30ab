"""What secrets look like, wherever they stand in a text."""

from __future__ import annotations

import re
from dataclasses import dataclass

HIDDEN = "****"
_WORDS = (
    *("passw", "passphrase", "pwd", "secret", "token", "ticket", "api_key", "api-key", "apikey"),
    *("access_key", "access-key", "accesskey", "authorization", "credential", "cookie"),
    *("session_id", "session-id", "sessionid", "signature", "private_key", "private-key", "dsn"),
    *("otp", "recovery"),
)
_WORD = "|".join(_WORDS)
_HEADERS = ("cookie", "authorization", "x-api-key", "cg-api-key", "x-coinapi-key")
NAMES = re.compile(rf"(?i)(?:{_WORD})|(?:^|[-_])key$")


@dataclass(frozen=True)
class _Look:
    """What a secret looks like, and what takes its place; in a text without any of ``marks``, written
    small, there is none, which is found out much sooner."""

    marks: tuple[str, ...]
    form: re.Pattern[str]
    instead: str = HIDDEN


# The widest come first.
_LOOKS = (
    # Headers as they are written out, and as pairs of names and values.
    _Look(
        _HEADERS,
        re.compile(rf"""(?i)({"|".join(_HEADERS)})(b?["']?\s*[:=,]\s*b?["']?)[^\r\n"'\)\]]+"""),
        rf"\1\2{HIDDEN}",
    ),
    _Look(
        ("bearer ", "basic "),
        re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"),
        rf"\1 {HIDDEN}",
    ),
    # What an address says about who asks; read as a path it has one stroke.
    _Look((":/",), re.compile(r"(:/{1,2})[^\s/@\"']+@"), rf"\1{HIDDEN}@"),
    # name=value in queries, forms, JSON and words; NAME_FILE=/path says where it lies, not what it is.
    _Look(
        (*_WORDS, "key"),
        re.compile(
            rf"""(?i)((?:{_WORD})[\w-]*(?!(?:(?<=_file)|(?<=_dir))\s*[=:]\s*/)|\bkey)"""
            rf"""(["']?\s*[=:]\s*["']?)(?!{re.escape(HIDDEN)})"""
            r"""[^\s"'&,;)}\]<>]+"""
        ),
        rf"\1\2{HIDDEN}",
    ),
    # Keys and tokens by their form: ours, and those of what we speak to.
    _Look(("csx_",), re.compile(r"\bcsx_[\w-]{8,}")),
    _Look(
        ("sk-", "sk_", "pk-", "pk_", "rk_", "ghp_", "gho_", "xox"),
        re.compile(r"\b(?:sk|pk|rk|ghp|gho|xox[a-z])[-_][\w-]{16,}"),
    ),
    _Look(("eyj",), re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?")),
    _Look((":",), re.compile(r"(?<!\d)(?:bot)?\d{6,}:[\w-]{20,}")),
    _Look(("age-secret-key-",), re.compile(r"(?i)age-secret-key-[\w-]+")),
    _Look(
        ("hooks.slack", "/api/webhooks"),
        re.compile(r"(?i)(hooks\.slack\.com/services|/api/webhooks)/[^\s\"']+"),
        rf"\1/{HIDDEN}",
    ),
    # 256 random bits as `core.accounts.tokens` and Fernet write them, and in no other spelling.
    _Look(
        ("",),
        re.compile(
            r"(?<![\w-])(?=[\w-]{43}=?(?![\w-]))(?=[\w-]*[0-9])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])"
            r"[\w-]{43}=?"
        ),
    ),
)


def without_secrets(text: str) -> str:
    """A text without all that looks like a secret.

    >>> without_secrets("GET /v4?api_key=abc&page=2 by Bearer abcdefgh")
    'GET /v4?api_key=****&page=2 by Bearer ****'
    >>> without_secrets("AWS_SECRET_ACCESS_KEY_FILE: /run/key is no text; AWS_SECRET_ACCESS_KEY: abc")
    'AWS_SECRET_ACCESS_KEY_FILE: /run/key is no text; AWS_SECRET_ACCESS_KEY: ****'
    """
    small = text.lower()
    for look in _LOOKS:
        if any(mark in small for mark in look.marks):
            text = look.form.sub(look.instead, text)
    return text
