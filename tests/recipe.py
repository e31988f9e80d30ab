import sys
import numpy as np
import pandas as pd
from scipy.stats import t
def interval(wins, n, day, horizon):  # sums per UTC day of exit, the day's number, and days
    total, days, place = n.sum(), len(n), np.arange(len(n))
    if total < 20 or days < 10: return np.nan, np.nan
    wanted = np.minimum((n.cumsum() - n / 2) / total * 10, 9).astype(int)
    wanted = np.clip(wanted, np.maximum(10 - days + place, 0), place)
    era = place + np.minimum.accumulate(wanted - place)  # ten of about equal count
    length = np.median(np.diff([*(day[era == e][0] for e in range(10)), day[-1] + 1]))
    if min(length, days / 10) < 2 * horizon: return np.nan, np.nan
    share = min(horizon / length, 0.5)  # of an era, which outcomes of the next one overlap
    r = share / 6 / (1 - share / 3)
    w, m, rate = np.bincount(era, wins), np.bincount(era, n), wins.sum() / total
    moved, smooth = (wins.sum() - w) / (total - m) - rate, (wins.sum() + 2) / (total + 4)
    error = np.sqrt(0.9 * (moved**2).sum() * (1 + 1.8 * r) / (1 - 0.2 * r))
    steady = np.sqrt(smooth * (1 - smooth) / total)
    error = steady if abs(moved).max() < 1e-12 else max(error, steady / 2)
    half = t.ppf(0.975, total**2 / (m**2).sum() - 1) * error
    return max(rate - half, 0), min(rate + half, 1)
record = pd.read_parquet(sys.argv[1])
record["won"], record["day"] = record.net_return > 0, record.exit_at.astype("int64") // 86_400_000_000
whole = ["profile_name", "profile_version", "judge", "horizon"]
raw, counted = record.groupby(whole).won.mean(), record[record.traded | record.verdict.isin(["WAIT", "SKIP"])]
for (*of, verdict), cell in counted.groupby([*whole, "verdict"]):
    won, n = (daily := cell.groupby("day").won.agg(["sum", "count"])).to_numpy().T
    low, high = interval(won, n, daily.index.to_numpy(), pd.Timedelta(of[-1]) / pd.Timedelta("1D"))
    rate, base = cell.won.mean(), raw[tuple(of)]
    print(*of, verdict, len(cell), rate, low, high, base, rate - base, cell.r_multiple.mean(), sep=",")
