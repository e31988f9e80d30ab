"""Every error the product raises on purpose: one class for each reaction a caller may want.

The text of an error is a sentence for the person who has to act on it.
"""

from __future__ import annotations

from core.secret_looks import without_secrets


class CryptoSatXError(Exception):
    """Root of the tree; a command prints it as a sentence instead of a traceback."""


class FrameError(CryptoSatXError, ValueError):
    """A market frame breaks its contract. Names the row, the column and the reason."""

    def __init__(self, reason: str, *, row: object = None, column: str | None = None) -> None:
        self.reason, self.row, self.column = reason, row, column
        where = [f"row {row}"] if row is not None else []
        where += [f"column {column}"] if column is not None else []
        super().__init__(f"{', '.join(where)}: {reason}" if where else reason)


class RecordingError(CryptoSatXError):
    """A recording cannot be read or written. Names the file."""


class ProfileError(CryptoSatXError, ValueError):
    """A profile is unknown or its numbers contradict each other."""


class BacktestError(CryptoSatXError):
    """A backtest cannot be asked for, run or looked at as wished. Says what to do instead."""


class RuleError(CryptoSatXError, ValueError):
    """An alert rule is refused. Has the position in its text and a hint, or the field of the rule."""

    def __init__(
        self, reason: str, *, position: int | None = None, hint: str = "", field: str = ""
    ) -> None:
        self.reason, self.position, self.hint, self.field = reason, position, hint, field
        super().__init__(f"{reason} {hint}".strip())


class Cancelled(CryptoSatXError):
    """Work was stopped because somebody asked for it; nothing is wrong."""


class DeliveryError(CryptoSatXError, ValueError):
    """A channel or a message cannot be used as it is. Says which part, and what to write instead."""


class SettingsError(CryptoSatXError):
    """A setting is missing or wrong. Names the setting and what to write instead, and shows nothing of
    a value that looks like a secret: the start of the server prints it.

    >>> print(SettingsError("CRYPTOSATX_MARKET=recording:https://me:secret@host cannot be used."))
    CRYPTOSATX_MARKET=recording:https://****@host cannot be used.
    """

    def __init__(self, text: str) -> None:
        super().__init__(without_secrets(text))


class StoreError(CryptoSatXError):
    """The database cannot be used as it is, for example because it holds another market."""


class BackupError(CryptoSatXError):
    """A backup cannot be made, read or brought back. Says what to do instead."""


class TookTooLong(CryptoSatXError):
    """Work was broken off because its time was over; asking for less may help."""


class AccountError(CryptoSatXError):
    """An account cannot be made or changed as asked."""


class AccessDenied(CryptoSatXError):
    """The person may not do this: not signed in, or without the role."""


class SourceError(CryptoSatXError):
    """Something outside could not give what it was asked for."""


class SourceUnavailable(SourceError):
    """A source cannot be reached, or did not answer in time; trying again later may help."""


class SourceRefused(SourceError):
    """A source answered that it will not serve this; ``retry_after`` in seconds if it said so."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class SourceKeyMissing(SourceError):
    """A source answers only with a key, and none is set. Names the setting."""


class SourceReplyWrong(SourceError, ValueError):
    """A reply is not what the source promises. Names the source and the field."""
