"""How outcomes are measured, for whoever wants to check a number: definitions, costs, biases."""

from __future__ import annotations

import streamlit as st

from core.accuracy import CONFIDENCE, ERAS
from core.outcomes import Costs
from core.ui.formats import percent


def draw_method() -> None:
    """The whole method, part by part."""
    for title, body in (
        ("What is counted", _counted()),
        ("Costs", _costs()),
        ("How sure a number is", _intervals()),
        ("What it is measured against", _baselines()),
        ("Scores, models and factors", _others()),
        ("What may still mislead", _biases()),
        ("Sources", _sources()),
    ):
        st.markdown(f"##### {title}")
        st.markdown(body)


def _counted() -> str:
    return """
- **Entry** is the open of the bar after the signal, the first price after publication; the **exit** of
  a horizon is the close at entry + horizon, from stored bars, so a late job changes nothing.
- **Won** is a net return above 0. **R** is the net result in units of the distance to the stop. A stop
  and a target inside one bar count as the stop.
- **Counterfactuals**: WAIT and SKIP, and trades whose plan was refused, are followed as if traded, to
  know what was avoided or missed. They are never counted among trades.
- **Not finished** is an outcome whose horizon still runs (pending) or whose bars are missing (overdue).
  Neither is in any rate.
- **Recorded at the time** is a signal stored within two hours of its bar; **filled in afterwards** is
  one that a replay made of the past. The rules are the same function in both.
- Judges and versions are never pooled: the rules, each model with each version of what it was asked (prompt, endpoint, temperature), and each
  version of a profile have records of their own.
- A **day** is the UTC day of the exit. Every figure is made from sums per day, so late outcomes
  change the day they belong to.
"""


def _costs() -> str:
    costs = Costs()
    return f"""
- {percent(costs.taker_fee, 2)} fee and {costs.slippage_bps:g} basis points of slippage at entry and at
  exit, and the funding of the hours held; where a rate is unknown, {percent(costs.assumed_funding_8h, 2)}
  per 8 h is charged to either side.
- Costs are in every return and in every R. Leverage is in none.
- **What caution was worth** is the loss avoided minus the gain missed by the part of the full size that
  was not taken, both after the costs that the trade would have paid. Where trades lose on average,
  any halving scores above 0, chosen by a coin or not, so that the sign says nothing about choosing;
  **Choice** does: caution chose only where what it took smaller or left out won less often than the
  raw signal, its cell marked after allowing for all of them.
"""


def _intervals() -> str:
    return f"""
- Outcomes of neighbouring hours share most of their future and markets move together, so a plain
  interval is far too narrow. The days are cut into **{ERAS} contiguous eras** of about equal count, each
  holding every market of its time; the {percent(CONFIDENCE, 0)} interval is a t interval over what is
  left when each era in turn is left out. Eras of uneven count are worth fewer degrees of freedom, and
  the future that neighbouring eras share is allowed for.
- **The interval of a win rate is about the period shown.** Won is after costs, so a win rate follows
  the volatility. Where calm or wild spells last for weeks, the {percent(CONFIDENCE, 0)} interval of a
  short period at 1 h holds the rate of the long run less often: in 80 to 93 % of simulations with
  costs. Lifts are not affected: the raw signal has the same spells.
- **n eff.** is how many independent outcomes would leave an interval as wide.
- Fewer than {2 * ERAS} outcomes, outcomes on fewer than {ERAS} days, or eras shorter than two horizons
  (at 24 h, fewer than {2 * ERAS} days): no interval, and the note says so.
- **Marked cells**: the lift of each cell is tested against 0 and the whole table is allowed for
  (Benjamini and Hochberg): where nothing is behind any of its cells, about one table in twenty still
  has a mark, and then every mark is luck. The number of cells is printed. Every choice of filters is
  another look, at more cells than any one table allows for.
- **Made or lost money** is said only where the whole interval of the mean R is on one side of 0.
- **An edge** is claimed only for trades that are marked as better and made money after costs.
"""


def _baselines() -> str:
    return """
- **Raw signal**: every signal of the same horizon and filters, whatever was decided about it.
- **Always long** buys at the cell's own moments. In a rising month it wins often.
- **Coin toss** is a fair coin choosing the direction at the cell's own moments, at the same costs.
- **Lift** is won minus raw signal, in percentage points.
"""


def _others() -> str:
    return f"""
- **Reliability** reads the score in the signal's direction as a probability of winning. It is not made
  to be one; the diagram shows how far it is from it. Bins without outcomes stay empty.
- **Kappa** is Cohen's: agreement beyond chance, with an interval over eras of days.
- **Information coefficient** is the correlation of a factor's distance from its own past with the
  return after it, not centred and not ranked within the period: the high of a period is only known
  afterwards, and centring by it makes an edge out of nothing.
  In simulations without an edge the {percent(CONFIDENCE, 0)} interval misses 0 for a z-score of the
  price level in 5 to 7 % of runs with one market, and in 8 to 9 % with twenty that move together.
- **A model's trade** is counted from the entry of the signal, at the close of its bar, though the
  verdict may come up to half an hour later. What the price did meanwhile is in the result.
- **A model's name** is the one it was asked by. Where a provider moves an alias to another model, one
  record covers both: configure a dated name.
- A model is asked about signals at the time they are made and never about the past, because it may
  remember what came after. Its record is shorter for that reason.
"""


def _biases() -> str:
    return """
- The markets are those that were watched; what was delisted before is not among them.
- A profile that was changed after looking at this page was fitted to it: only later outcomes count.
- Overlapping signals count one R each. An account would run out of margin before.
- Fills are assumed at the open and the close with a fixed slippage, in calm and in panic alike.
- Eras allow for what repeats within one of them, a tenth of the days. Of a regime that lasts longer
  there are few observations, of one that outlasts the record a single one.
"""


def _sources() -> str:
    return """
- R. Ibragimov and U. Mueller (2010), t-Statistic Based Correlation and Heterogeneity Robust Inference,
  Journal of Business & Economic Statistics 28(4).
- Y. Benjamini and Y. Hochberg (1995), Controlling the False Discovery Rate, JRSS B 57(1).
- A. Murphy (1973), A New Vector Partition of the Probability Score; D. Stephenson, C. Coelho and
  I. Jolliffe (2008), Two Extra Components in the Brier Score Decomposition.
- J. Cohen (1960), A Coefficient of Agreement for Nominal Scales.
"""
