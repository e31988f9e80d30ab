"""The live pipeline on a whole history, and what may be concluded from it."""

from core.backtest.running import BacktestResult, decide, decide_by, decide_each, run

__all__ = ["BacktestResult", "decide", "decide_by", "decide_each", "run"]
