"""Recordings: a folder of Parquet files, read as a market frame or written.

`core.market.files` says what the files hold, `core.market.held` what was known of them when.
"""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import FrameError, RecordingError
from core.market import files
from core.market.frame import BY_NAME, NAMES, SOURCES, validate
from core.market.held import Held, hold, one_venue, own_step, spread, venue_rank

Time = str | datetime


@dataclass(frozen=True, eq=False)
class Recording:
    """What a folder holds, as it was known.

    ``frame`` is a market frame. ``ages`` has the same index and a column for each of
    `frame.SOURCES`: hours since the value shown was published, NaN where none is shown.
    ``digest`` names the content of the files, whichever part of it was asked for.
    """

    frame: pd.DataFrame
    ages: pd.DataFrame
    digest: str


def load(
    path: str | Path,
    symbols: Iterable[str] | None = None,
    start: Time | None = None,
    end: Time | None = None,
) -> pd.DataFrame:
    """The market frame of a recording; see `read`."""
    return read(path, symbols, start, end).frame


def read(
    path: str | Path,
    symbols: Iterable[str] | None = None,
    start: Time | None = None,
    end: Time | None = None,
) -> Recording:
    """Read a folder of recorded files as what was known at the close of every bar.

    Rows are the candles of candles_1h; candles_1h_universe serves symbols that are asked for by
    name and are not in it, or all where there is no candles_1h. ``start`` and ``end`` (both
    included; text without a zone is UTC) choose rows and change no value in them. Slower values
    are held until twice their own step. Turnover is the venue's quote_volume where it is given,
    else volume times the mean of open, high, low and close. Where a file has several venues, the
    first of `core.market.files.VENUES` is taken: of candles bar by bar, of anything else throughout,
    because its level differs from venue to venue. A missing file leaves its columns out.

    Raises `RecordingError` naming the file when one is damaged, when there are no candles, and
    when a symbol is unknown.
    """
    folder = Path(path)
    candles = _candles(folder, symbols)
    rows = {source.name: files.read_source(folder, source) for source in _SLOWER}
    known = {name: found for name, found in rows.items() if found is not None}
    recording = _assembled(candles, known, start, end, files.digest(folder))
    _check(recording.frame, str(folder))
    return recording


def assemble(
    tables: Mapping[str, pd.DataFrame], start: Time | None = None, end: Time | None = None
) -> Recording:
    """What was known of tables that `write` would write, by the same rules as `read`.

    Candles are those of candles_1h. ``digest`` is empty: tables have no bytes to name. Raises
    `RecordingError` naming the table where one does not hold what its file must.
    """
    rows = {
        name: files.to_rows(_as_arrow(name, table), files.FILES[name])
        for name, table in tables.items()
        if name in files.FILES
    }
    candles = rows.get(files.CANDLES.file)
    if candles is None or candles.empty:
        raise RecordingError(
            f"There are no candles in the table {files.CANDLES.file}; collect them first."
        )
    known = {source.name: rows[source.file] for source in _SLOWER if source.file in rows}
    recording = _assembled(candles, known, start, end, "")
    _check(recording.frame, "these tables")
    return recording


def write(path: str | Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write a recording: one file per table, named by the table (``candles_1h``, ``funding``, ...).

    The folder appears complete or not at all, and replaces a recording that was there. Reading the
    files with pandas gives the tables back. Raises `RecordingError` when a table does not hold what
    its file must, or when the folder holds anything that is not of a recording.
    """
    target = Path(path)
    _refuse_foreign(target, tables)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as holder:
            made = Path(holder) / "made"
            made.mkdir()
            for name, table in tables.items():
                pq.write_table(
                    _checked(name, table),
                    made / f"{name}.parquet",
                    compression="zstd",
                    write_page_checksum=True,
                )
            _put_in_place(made, target, Path(holder) / "replaced")
    except OSError as error:
        raise RecordingError(
            f"{target} cannot be written ({error.strerror or error}). Choose a folder you may write to."
        ) from error


_HELD = (
    files.FUNDING,
    files.OPEN_INTEREST,
    files.LONG_SHORT,
    files.SOCIAL,
    files.FEAR_GREED,
)
_SLOWER = (*_HELD, files.LIQUIDATIONS)


def _assembled(
    candles: pd.DataFrame,
    slower: Mapping[str, pd.DataFrame],
    start: Time | None,
    end: Time | None,
    content: str,
) -> Recording:
    """A recording of rows as `files.to_rows` gives them, ``slower`` by the name of their source."""
    first, last = _time(start, "start"), _time(end, "end")
    if first is not None and last is not None and first > last:
        raise RecordingError(f"start {start} lies after end {end}; swap them.")
    candles = _one_venue_by_close(candles)
    names = sorted(candles["symbol"].unique())
    code = pd.Series(range(len(names)), index=names, dtype="int64")
    candles = _sorted(candles.assign(time_us=candles["open_us"] + files.HOUR_US), code, "time_us")
    inside = _within(_times(candles), first, last)
    candles = candles[inside].reset_index(drop=True)
    shown = {"candles": _shown_candles(candles)}
    for source in _SLOWER:
        if source.name in slower:
            shown[source.name] = _shown(source, candles, slower[source.name], code)
    return _framed(candles, names, shown, content)


def _candles(folder: Path, symbols: Iterable[str] | None) -> pd.DataFrame:
    if not folder.is_dir():
        raise RecordingError(f"There is no folder {folder}; give the folder of a recording.")
    if symbols is not None:
        return _chosen(folder, {symbols} if isinstance(symbols, str) else set(symbols))
    candles = files.read_source(folder, files.CANDLES)
    if candles is None:
        candles = files.read_source(folder, files.UNIVERSE)
    if candles is None or candles.empty:
        raise _no_candles(folder)
    return candles


def _chosen(folder: Path, wanted: set[str]) -> pd.DataFrame:
    if not wanted:
        raise RecordingError("No symbol is asked for; name one, or leave symbols out for all.")
    candles = files.read_source(folder, files.CANDLES, wanted)
    absent = wanted if candles is None else wanted - set(candles["symbol"])
    others = files.read_source(folder, files.UNIVERSE, absent) if absent else None
    parts = [part for part in (candles, others) if part is not None]
    if not parts:
        raise _no_candles(folder)
    found = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    unknown = sorted(wanted - set(found["symbol"]))
    if unknown:
        raise _unknown_symbol(folder, unknown[0])
    return found


def _no_candles(folder: Path) -> RecordingError:
    return RecordingError(
        f"{folder} has no candles in {files.CANDLES.file}.parquet; give the folder of a recording."
    )


def _unknown_symbol(folder: Path, symbol: str) -> RecordingError:
    known = sorted(
        {*files.symbols_of(folder, files.CANDLES), *files.symbols_of(folder, files.UNIVERSE)}
    )
    near = difflib.get_close_matches(symbol.upper(), known, n=3, cutoff=0.5)
    some = list(dict.fromkeys([*near, *known]))[:5]
    return RecordingError(
        f"{symbol} is not in this recording of {len(known)} symbols, which has among others {', '.join(some)}."
    )


def _one_venue_by_close(candles: pd.DataFrame) -> pd.DataFrame:
    """One venue per bar: the first of `files.VENUES` among those whose candle was there at its close.

    Prices of venues agree, so that another one stands in for a bar; where all came late, the first
    one's bar it is all the same.
    """
    if candles["venue"].nunique() <= 1:
        return candles
    late = candles["known_us"] > candles["open_us"] + files.HOUR_US
    ranks = {name: venue_rank(name) for name in candles["venue"].unique()}
    order = candles[["symbol", "open_us"]].assign(late=late, rank=candles["venue"].map(ranks))
    first = order.sort_values(["late", "rank"], kind="stable")
    return candles.loc[first.drop_duplicates(["symbol", "open_us"]).index.sort_values()]


def _sorted(rows: pd.DataFrame, code: pd.Series, time: str) -> pd.DataFrame:
    """Rows of the symbols that have a code, sorted by it, then by time."""
    numbered = rows.assign(code=rows["symbol"].map(code))
    numbered = numbered[numbered["code"].notna()].astype({"code": np.int64})
    return numbered.sort_values(["code", time], kind="stable", ignore_index=True)


def _shown_candles(candles: pd.DataFrame) -> Held:
    known = candles["known_us"] <= candles["time_us"]
    prices = candles[["open", "high", "low", "close"]].where(known)
    volume_usd = candles["volume"].where(known) * prices.mean(axis=1, skipna=False)
    if "quote_volume" in candles:
        volume_usd = candles["quote_volume"].where(known).fillna(volume_usd)
    age = (candles["time_us"] - candles["known_us"]).where(prices["close"].notna()) / files.HOUR_US
    values = prices.assign(volume_usd=volume_usd)
    return Held({str(name): values[name].to_numpy() for name in values}, age.to_numpy())


def _shown(source: files.Source, rows: pd.DataFrame, known: pd.DataFrame, code: pd.Series) -> Held:
    known = one_venue(known)
    if not source.per_symbol:
        rows, code = rows.assign(code=0), pd.Series({"": 0})
    known = _sorted(known, code, "known_us")
    if source is files.LIQUIDATIONS:
        return spread(rows, known, source.numbers)
    if source is files.FUNDING:
        interval = known["interval_hours"]
        known["funding_rate_8h"] = known["funding_rate"] * 8 / interval
        step_us = (interval * files.HOUR_US).to_numpy().astype(np.int64)
    else:
        step_us = own_step(known, round(source.step_hours * files.HOUR_US))
    if source is files.LONG_SHORT:
        known["top_long_share"] = _top_long_share(known)
    columns = [name for name in NAMES if BY_NAME[name].source == source.name]
    wanted = list(dict.fromkeys([*known, *columns]))
    return hold(rows, known.reindex(columns=wanted), columns, step_us)


def _top_long_share(known: pd.DataFrame) -> pd.Series:
    nothing = pd.Series(np.nan, index=known.index)
    by_account = known.get("top_account_long_share", nothing)
    return known.get("top_position_long_share", nothing).fillna(by_account)


def _framed(
    candles: pd.DataFrame, names: list[str], shown: Mapping[str, Held], content: str
) -> Recording:
    symbol = pd.Index(names, dtype="str").take(candles["code"].to_numpy())
    index = pd.MultiIndex.from_arrays([symbol, _times(candles)], names=["symbol", "time"])
    values = {name: column for held in shown.values() for name, column in held.values.items()}
    ages = {name: shown[name].age if name in shown else np.nan for name in SOURCES}
    return Recording(
        frame=pd.DataFrame({name: values[name] for name in NAMES if name in values}, index=index),
        ages=pd.DataFrame(ages, index=index, dtype=np.float64),
        digest=content,
    )


def _check(frame: pd.DataFrame, place: str) -> None:
    try:
        validate(frame)
    except FrameError as error:
        source = BY_NAME[error.column].source if error.column in BY_NAME else "candles"
        by_source = {one.name: one.file for one in reversed(files.FILES.values())}
        raise RecordingError(
            f"{by_source[source]}.parquet in {place} holds a value that cannot be: {error}. "
            "Correct it, or make the recording again."
        ) from error


def _time(value: Time | None, name: str) -> pd.Timestamp | None:
    if value is None:
        return None
    try:
        time = pd.Timestamp(value)
    except ValueError:
        time = pd.Timestamp("NaT")
    if pd.isna(time):
        raise RecordingError(f"{name} {value!r} is no time; write it like 2025-10-10T12:00Z.")
    if time.tz is not None:
        return time
    if not isinstance(value, str):
        raise RecordingError(f"{name} {value} has no zone; give an aware time.")
    return time.tz_localize("UTC")


def _times(rows: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(rows["time_us"].to_numpy().view("datetime64[us]")).tz_localize("UTC")


def _within(
    times: pd.DatetimeIndex, first: pd.Timestamp | None, last: pd.Timestamp | None
) -> NDArray[np.bool_]:
    inside = np.full(len(times), True)
    if first is not None:
        inside &= times >= first
    if last is not None:
        inside &= times <= last
    return inside


def _refuse_foreign(target: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    for name in tables:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise RecordingError(f"{name!r} cannot name a file; use small letters, digits and _.")
    if not target.exists():
        return
    if not target.is_dir():
        raise RecordingError(f"{target} is a file; choose a folder for the recording.")
    own = {f"{name}.parquet" for name in (*files.FILES, *files.OTHER_FILES, *tables)}
    foreign = sorted(entry.name for entry in target.iterdir() if entry.name not in own)
    if foreign:
        raise RecordingError(
            f"{target} holds {foreign[0]}, which is not of a recording; choose another folder."
        )


def _checked(name: str, table: pd.DataFrame) -> pa.Table:
    made = _as_arrow(name, table)
    if name in files.FILES:
        files.to_rows(made, files.FILES[name])
    return made


def _as_arrow(name: str, table: pd.DataFrame) -> pa.Table:
    try:
        # Threads would be begun for every table, which takes longer than a bar's rows.
        return pa.Table.from_pandas(table, preserve_index=False, nthreads=1)
    except pa.ArrowException as error:
        raise RecordingError(f"The table {name} cannot be written as Parquet: {error}") from error


def _put_in_place(made: Path, target: Path, replaced: Path) -> None:
    if target.exists():
        os.rename(target, replaced)
    try:
        os.rename(made, target)
    except OSError:
        if replaced.exists():
            os.rename(replaced, target)
        raise
