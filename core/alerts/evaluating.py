"""Many rules over one frame: every equal piece is computed once, for all symbols and times."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from simpleeval import SimpleEval

from core.alerts import functions, kernels, names
from core.alerts.functions import Function
from core.alerts.kernels import TRUE, UNKNOWN, Truth
from core.market.grid import Floats, Grid

_SMALL_CELLS = 100_000
_FEW_COLUMNS = 4
_KEPT = (ast.Call, ast.Name, ast.Constant)

_OPERATORS = {
    ast.Add: lambda a, b: kernels.finite(np.add, a, b),
    ast.Sub: lambda a, b: kernels.finite(np.subtract, a, b),
    ast.Mult: lambda a, b: kernels.finite(np.multiply, a, b),
    ast.Div: lambda a, b: kernels.finite(np.divide, a, b),
    ast.USub: np.negative,
    ast.Not: kernels.negated,
    ast.Lt: kernels.less,
    ast.LtE: kernels.less_equal,
    ast.Gt: kernels.greater,
    ast.GtE: kernels.greater_equal,
    ast.Eq: kernels.equal,
    ast.NotEq: kernels.unequal,
}


class Columns:
    """The columns of a frame as (symbols, times), each converted when it is first asked for."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.grid = Grid.of(frame.index)
        self._frame = frame
        self._numbers: dict[str, Floats] = {}
        self._texts = {
            str(column)
            for column, dtype in frame.dtypes.items()
            if column in names.BY_NAME
            and names.BY_NAME[str(column)].values
            and not pd.api.types.is_numeric_dtype(dtype)
        }
        self._dense: dict[tuple[str, int], Floats] = {}

    @cached_property
    def symbols(self) -> dict[str, int]:
        """The row of each symbol in arrays."""
        starts = self._frame.index[self.grid.first_rows].get_level_values(0)
        return {str(symbol): place for place, symbol in enumerate(starts)}

    @cached_property
    def there(self) -> npt.NDArray[np.bool_]:
        """Which bars have a row."""
        found = np.zeros(self.grid.shape, dtype=bool)
        found.reshape(-1)[self.grid.cells] = True
        return found

    def since(self, column: str, first: int) -> Floats:
        """A column from the place ``first`` on, NaN where it is unknown or not in the frame."""
        found = self._dense.get((column, first))
        if found is None:
            found = self._dense[column, first] = self._cut(column, first)
        return found

    def _cut(self, column: str, first: int) -> Floats:
        if column in self._texts:
            return self._coded(self._frame[column], names.BY_NAME[column].values, first)
        if not first:
            return _finite(self._raw(column))
        if self.grid.shape[1] - first > _FEW_COLUMNS:
            return self.since(column, 0)[:, first:]
        # Few columns lie far apart in the whole: together they are read once for all rules.
        return _finite(np.ascontiguousarray(self._raw(column)[:, first:]))

    def _raw(self, column: str) -> Floats:
        """All bars of a column of numbers."""
        found = self._numbers.get(column)
        if found is None:
            found = self._numbers[column] = self._spread(column)
        return found

    def _spread(self, column: str) -> Floats:
        if column in self._frame.columns:
            values = self._frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
            return self.grid.spread(values)
        name = names.BY_NAME.get(column)
        if name is not None and name.quotient:
            top, bottom = (self.since(part, 0) for part in name.quotient)
            with np.errstate(divide="raise", over="raise", invalid="ignore"):
                return kernels.finite(np.divide, top, bottom)
        return np.full(self.grid.shape, np.nan)

    def _coded(self, values: pd.Series, codes: Mapping[str, float], first: int) -> Floats:
        """A column of texts as the numbers that stand for them; any other text is unknown."""
        times = self.grid.shape[1]
        rows = np.flatnonzero(self.grid.cells % max(times, 1) >= first)
        places, texts = pd.factorize(values.iloc[rows])
        numbers = np.array([*(codes.get(text, np.nan) for text in texts), np.nan])
        found = np.full((self.grid.shape[0], times - first), np.nan)
        symbol, place = np.divmod(self.grid.cells[rows], max(times, 1))
        found[symbol, place - first] = numbers[places]
        return found


def _finite(values: Floats) -> Floats:
    """The values with NaN for what is infinite; themselves where nothing is."""
    # One sum tells of most arrays that nothing is infinite, and costs less than a look at each.
    with np.errstate(over="ignore"):
        if np.isfinite(np.add.reduce(values, axis=None)) or not np.isinf(values).any():
            return values
    return np.where(np.isinf(values), np.nan, values)


class _Evaluator(SimpleEval):  # type: ignore[misc]
    """simpleeval's dispatch over the nodes of rules, with arrays for values.

    It sees only trees that `core.alerts.checking` made, and knows no other nodes, operators, names
    or functions than theirs, so that nothing else could be done with it even if one slipped through.
    """

    def __init__(self, columns: Columns, first: int) -> None:
        known: dict[str, Function | None] = {**functions.BY_NAME, "symbol_in": None}
        super().__init__(operators=_OPERATORS, functions=known, names={})
        self.nodes = {
            ast.Constant: self._eval_constant,
            ast.Name: self._eval_name,
            ast.UnaryOp: self._eval_unaryop,
            ast.BinOp: self._eval_binop,
            ast.BoolOp: self._eval_boolop,
            ast.Compare: self._eval_compare,
            ast.IfExp: self._eval_ifexp,
            ast.Call: self._eval_call,
        }
        self._columns = columns
        self._first = first
        self._is_wide = self._width > _FEW_COLUMNS
        self._kept: frozenset[str] | None = None
        self._met: set[str] = set()
        self._memos: dict[int, dict[str, Any]] = {}
        self._memo = self._memos.setdefault(first, {})

    def value(self, node: ast.expr, kept: frozenset[str] | None = None) -> Any:
        """The value of a node over all symbols, from the first wanted column on.

        Of the pieces only ``kept`` ones are remembered, all for None.
        """
        self._kept = kept
        with np.errstate(divide="raise", over="raise", invalid="ignore", under="ignore"):
            return self._eval(node)

    def forget(self) -> None:
        """Drop what was computed, but not the columns."""
        for memo in self._memos.values():
            memo.clear()

    def close(self) -> None:
        """Let go of itself: simpleeval's table of nodes refers to its evaluator."""
        self.nodes = {}

    @property
    def _width(self) -> int:
        return self._columns.grid.shape[1] - self._first

    def _eval(self, node: Any) -> Any:
        found = self._memo.get(node.key)
        if found is None:
            found = super()._eval(node)
            if self._is_kept(node):
                self._memo[node.key] = found
        return found

    def _is_kept(self, node: Any) -> bool:
        """Whether a value is remembered. What is quickly made is when it is met a second time:
        memory for thousands of results that nobody asks for again takes longer than making them."""
        if self._kept is not None:
            return node.key in self._kept
        if self._is_wide or type(node) in _KEPT or node.key in self._met:
            return True
        self._met.add(node.key)
        return False

    def _check_disallowed_items(self, item: object) -> None:
        # Everything that is evaluated here is one of these; anything else is looked at closely.
        if type(item) is not np.ndarray and type(item) is not float:
            super()._check_disallowed_items(item)

    def _eval_name(self, node: ast.Name) -> Floats:
        return self._columns.since(node.id, self._first)

    def _eval_boolop(self, node: ast.BoolOp) -> Truth:
        join = np.minimum if isinstance(node.op, ast.And) else np.maximum
        found = join(self._eval(node.values[0]), self._eval(node.values[1]))
        for value in node.values[2:]:
            join(found, self._eval(value), out=found)
        return found  # type: ignore[no-any-return]

    def _eval_compare(self, node: ast.Compare) -> Truth:
        compare = self.operators[type(node.ops[0])]
        found: Truth = compare(self._eval(node.left), self._eval(node.comparators[0]))
        return found

    def _eval_ifexp(self, node: ast.IfExp) -> Any:
        body, other = self._eval(node.body), self._eval(node.orelse)
        is_truth = any(getattr(part, "dtype", None) == np.int8 for part in (body, other))
        unknown = UNKNOWN if is_truth else np.nan
        return kernels.chosen(self._eval(node.test), body, other, unknown)

    def _eval_call(self, node: Any) -> Any:
        function = self.functions[node.func.id]
        if function is None:
            return self._symbols({arg.value for arg in node.args})
        match function.way:
            case "bar":
                return self._bar(function, node.args)
            case "window":
                return self._window(function, node.args)
            case "pair":
                return self._pair(function, node.args)
        return kernels.finite(function.kernel, self._eval(node.args[0]))

    def _symbols(self, wanted: set[str]) -> Truth:
        places = self._columns.symbols
        column = np.zeros((len(places), 1), dtype=np.int8)
        for symbol in wanted & places.keys():
            column[places[symbol]] = TRUE
        return self._where_there(np.broadcast_to(column, (len(places), self._width)))

    def _where_there(self, truth: Truth) -> Truth:
        """A bar that is missing is unknown in every respect, as bars before the first one are."""
        if self._columns.grid.is_full:
            return truth
        found: Truth = np.where(self._columns.there[:, self._first :], truth, UNKNOWN)
        return found

    def _bar(self, function: Function, args: list[Any]) -> Any:
        assert function.kernel is not None
        if function.name == "round":
            digits = int(args[1].value) if len(args) > 1 else 0
            return kernels.finite(function.kernel, self._eval(args[0]), digits)
        if function.name == "known":
            return self._where_there(function.kernel(self._eval(args[0])))
        return function.kernel(*(self._eval(arg) for arg in args))

    def _window(self, function: Function, args: list[Any]) -> Any:
        assert function.kernel is not None
        bars = self._columns.grid.bars(args[1].value)
        with self._reaching(bars - 1 + function.before) as first:
            values = self._eval(args[0])
        return kernels.finite(function.kernel, values, bars, first)

    def _pair(self, function: Function, args: list[Any]) -> Truth:
        assert function.kernel is not None
        with self._reaching(1) as first:
            a, b = (self._eval(arg) for arg in args)
            found: Truth = function.kernel(a, b, first)
        return found

    @contextmanager
    def _reaching(self, bars: int) -> Iterator[int]:
        """Evaluate from so many bars before on; gives where the wanted columns begin then."""
        before = self._first, self._memo, self._is_wide
        self._first = max(0, before[0] - bars)
        self._memo = self._memos.setdefault(self._first, {})
        self._is_wide = self._width > _FEW_COLUMNS
        try:
            yield before[0] - self._first
        finally:
            self._first, self._memo, self._is_wide = before


class Evaluation:
    """Rules over one frame, or over its rows from ``since`` on.

    Columns are converted and equal pieces computed once for all rules that are evaluated. The rows
    are those of ``index``, in the frame's order. Rows of one symbol must be together and sorted by
    time; raises `FrameError` otherwise.
    """

    def __init__(self, frame: pd.DataFrame, since: pd.Timestamp | None = None) -> None:
        self._columns = Columns(frame)
        self._newest = self._columns.grid.since(since)
        rows = self._newest.rows
        self.index = frame.index if len(rows) == len(frame) else frame.index[rows]
        self._evaluator = _Evaluator(self._columns, self._newest.first)
        symbols, times = self._columns.grid.shape
        self._cells = symbols * (times - self._newest.first)
        self._places = None if len(rows) == self._cells else self._flat_places()

    def _flat_places(self) -> npt.NDArray[np.int64]:
        times = self._columns.grid.shape[1]
        cells = self._columns.grid.cells[self._newest.rows]
        symbol, column = np.divmod(cells, max(times, 1))
        first = self._newest.first
        return np.asarray(symbol * (times - first) + column - first)

    def __del__(self) -> None:
        # Arrays of a year should not wait for the collector of cycles.
        if hasattr(self, "_evaluator"):
            self._evaluator.close()

    def value(self, node: ast.expr) -> npt.NDArray[Any]:
        """The value of a checked node at every row, not to be written to: float64, or int8 for a
        condition."""
        if self._cells <= _SMALL_CELLS:
            return self._rows(self._evaluator.value(node))
        # A year of a hundred symbols is 7 MB for every piece: only what recurs is remembered.
        keys = Counter(getattr(one, "key", "") for one in ast.walk(node))
        repeated = frozenset(key for key, times in keys.items() if times > 1)
        found = self._rows(self._evaluator.value(node, repeated))
        self._evaluator.forget()
        return found

    def _rows(self, dense: Any) -> npt.NDArray[Any]:
        if not isinstance(dense, np.ndarray):
            return np.full(len(self.index), dense)
        flat = dense.reshape(-1)
        found = flat if self._places is None else flat[self._places]
        found.flags.writeable = False
        return found

    def truth(self, root: ast.expr) -> Truth:
        """A rule at every row: 0 false, 1 unknown, 2 true."""
        return self.value(root)
