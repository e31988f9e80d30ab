"""The record for others, written piece by piece: every figure can be recomputed from it.

CSV and Parquet are flat: a row per outcome and judge (the rules, and a model where one answered), in
the order of the ledger. JSON lines are the ledger itself, entry by entry. What stands in a line before
`,"hash":"`, and a closing brace, is the text whose SHA-256, behind the bytes of the hash before it, is
its hash; the first follows 32 zero bytes. What a signal was made from stands behind the hash, under
"measured": the SHA-256 of that text is in the content.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from sqlalchemy import Connection, Select, null, select
from typing_extensions import override

from core.errors import StoreError
from core.store.contents import OUTCOME, SIGNAL, VERDICT
from core.store.entries import read_entries
from core.store.reading import flags, moments, numbers, raw, read_columns, words
from core.store.sums import BY_MODELS, BY_RULES, Judged, recorded
from core.store.tables import ledger, outcomes, signals, verdicts

Form = Literal["csv", "parquet", "jsonl"]
FORMS: tuple[Form, ...] = get_args(Form)
MEDIA_TYPES: dict[Form, str] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/jsonl; charset=utf-8",
}
BATCH = 20_000

_TEXT, _NUMBER, _FLAG, _WHOLE = pa.string(), pa.float64(), pa.bool_(), pa.int64()
_TIME = pa.timestamp("us", "UTC")
# Where times end in _at or are the bar's; positions are in the ledger, of the entry of the outcome,
# of its signal and of the model's verdict.
SCHEMA = pa.schema(
    [
        ("position", _WHOLE),
        ("signal_position", _WHOLE),
        ("verdict_position", _WHOLE),
        ("signal_id", _WHOLE),
        ("profile_name", _TEXT),
        ("profile_version", _TEXT),
        ("judge", _TEXT),
        ("recorded", _TEXT),
        ("symbol", _TEXT),
        ("time", _TIME),
        ("direction", _WHOLE),
        ("score", _NUMBER),
        ("coverage", _NUMBER),
        ("verdict", _TEXT),
        ("risk_mode", _TEXT),
        ("multiplier", _NUMBER),
        ("allowed_multiplier", _NUMBER),
        ("traded", _FLAG),
        ("horizon", _TEXT),
        ("entry_at", _TIME),
        ("exit_at", _TIME),
        *((name, _NUMBER) for name in ("entry_price", "exit_price", "gross_return", "net_return")),
        *((name, _NUMBER) for name in ("long_net_return", "r_multiple")),
        ("barrier", _TEXT),
        *((name, _NUMBER) for name in ("barrier_r", "mae_r", "mfe_r")),
        ("funding_assumed", _FLAG),
    ]
)


@dataclass(frozen=True)
class Chosen:
    """Which part of the record; None is all of it."""

    profile_name: str | None = None
    profile_version: str | None = None
    judge: str | None = None


def write_record(conn: Connection, form: Form, chosen: Chosen | None = None) -> Iterator[bytes]:
    """The file in pieces, a batch of rows in memory at a time; in a `core.store.entries.snapshot`."""
    chosen = chosen or Chosen()
    if form == "jsonl":
        if chosen != Chosen():
            raise StoreError("JSON lines are the whole ledger: a part of a chain proves nothing.")
        return _lines(conn)
    return _tables(conn, form, chosen)


def _lines(conn: Connection) -> Iterator[bytes]:
    for batch in read_entries(conn):
        piece = io.BytesIO()
        for entry in batch:
            if entry.content is None:
                raise StoreError(
                    f"Entry {entry.position:,} of the ledger: {entry.fault}. Run python -m core verify."
                )
            end = f',"kind":"{entry.kind}","position":{entry.position},"row_id":{entry.row_id}'
            piece.write(b'{"content":' + entry.content + end.encode())
            piece.write(f',"hash":"{entry.hash.hex()}"'.encode())
            if entry.measured is not None:
                piece.write(b',"measured":' + entry.measured)
            piece.write(b"}\n")
        yield piece.getvalue()


class _Sink(io.RawIOBase):
    """What a writer has written since it was last taken."""

    def __init__(self) -> None:
        self._held = bytearray()

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def _tables(conn: Connection, form: Form, chosen: Chosen) -> Iterator[bytes]:
    sink = _Sink()
    writer: Any = (
        pa.csv.CSVWriter(sink, SCHEMA)
        if form == "csv"
        else pa.parquet.ParquetWriter(sink, SCHEMA, compression="zstd")
    )
    with writer:
        for table in _batches(conn, chosen):
            writer.write_table(table)
            yield sink.take()
    yield sink.take()


def _batches(conn: Connection, chosen: Chosen) -> Iterator[pa.Table]:
    after = 0
    while True:
        entries = (
            select(ledger.c.position, ledger.c.kind, ledger.c.row_id)
            .where(ledger.c.position > after, ledger.c.kind.not_in([SIGNAL, VERDICT]))
            .order_by(ledger.c.position)
            .limit(BATCH)
        )
        bounds = conn.execute(entries).all()
        if not bounds:
            return
        until = bounds[-1].position
        parts = [
            _frame(conn, judged, after, until, chosen)
            for judged in (BY_RULES, BY_MODELS)
            if judged is BY_MODELS or chosen.judge in (None, "rules")
        ]
        rows = pd.concat(parts, ignore_index=True).sort_values("position", kind="stable")
        yield pa.Table.from_pandas(rows, SCHEMA, preserve_index=False)
        after = until


def _frame(
    conn: Connection, judged: Judged, after: int, until: int, chosen: Chosen
) -> pd.DataFrame:
    columns = read_columns(conn, _query(conn, judged, after, until, chosen))
    return pd.DataFrame({field.name: _typed(field, columns[field.name]) for field in SCHEMA})


def _typed(field: pa.Field, values: list[Any]) -> Any:
    if field.type == _TIME:
        return moments(values, field.name)
    if field.type == _NUMBER:
        return numbers(values)
    if field.type == _FLAG:
        return flags(values)
    if field.type == _WHOLE:
        return pd.array(values, dtype="Int64")
    return words(values)


def _query(conn: Connection, judged: Judged, after: int, until: int, chosen: Chosen) -> Select[Any]:
    """The outcomes in a range of positions, as a judge saw their signals."""
    own, of_signal, of_verdict = ledger.alias(), ledger.alias(), ledger.alias()
    said = {
        "judge": judged.judge,
        "verdict": judged.verdict,
        "risk_mode": judged.risk_mode,
        "multiplier": judged.multiplier,
        "allowed_multiplier": judged.allowed,
        "traded": judged.traded,
        "recorded": recorded(conn.dialect.name),
        "position": own.c.position,
        "signal_position": of_signal.c.position,
        "verdict_position": null() if judged is BY_RULES else of_verdict.c.position,
    }
    stored = [
        column
        for name in SCHEMA.names
        if name not in said
        for column in raw(outcomes if name in outcomes.c else signals, name)
    ]
    joined = judged.outcomes.join(
        own, (own.c.row_id == signals.c.id) & (own.c.kind == OUTCOME + outcomes.c.horizon)
    ).join(of_signal, (of_signal.c.row_id == signals.c.id) & (of_signal.c.kind == SIGNAL))
    if judged is not BY_RULES:
        on = (of_verdict.c.row_id == verdicts.c.id) & (of_verdict.c.kind == VERDICT)
        joined = joined.join(of_verdict, on)
    query = select(*stored, *(value.label(name) for name, value in said.items()))
    query = query.select_from(joined).where(own.c.position > after, own.c.position <= until)
    wanted = {
        signals.c.profile_name: chosen.profile_name,
        signals.c.profile_version: chosen.profile_version,
        judged.judge: chosen.judge,
    }
    conditions = [column == value for column, value in wanted.items() if value is not None]
    return query.where(*conditions).order_by(own.c.position)
