"""The only cache: what the store holds, the same for everyone, kept for seconds.

Nothing about a person goes in here. A failing database raises `StoreError`, and what is raised is
not kept, so the next reader asks again.
"""

from core.ui.loaders.accuracy import (
    load_disagreements,
    load_factor_days,
    load_head,
    load_pairs,
    load_record_options,
    load_settled,
    load_signals_behind,
    load_stored_profile,
    load_symbols,
    load_tallies,
    load_unfinished,
)
from core.ui.loaders.backtests import (
    count_living_workers,
    load_contents,
    load_held_back,
    load_in_force,
    load_looks,
    load_result,
    load_run,
    load_runs,
    load_schedule,
    load_versions,
)
from core.ui.loaders.kept import load_progress
from core.ui.loaders.ledger import load_head
from core.ui.loaders.market import (
    load_bars,
    load_closes,
    load_coins,
    load_history,
    load_newest,
    load_origin,
    load_outcomes_of,
    load_provenance,
    load_signal,
    load_span,
)
from core.ui.loaders.operation import (
    load_about,
    load_operation,
    load_pieces_of_work,
    load_published,
)
from core.ui.loaders.stream import (
    load_bar_totals,
    load_first_known,
    load_liquidation_pairs,
    load_liquidation_past,
    load_liquidation_sums,
    load_liquidations,
    load_stream_gaps,
    load_streams,
)
from core.ui.loaders.verdicts import (
    load_model_record,
    load_newest_verdicts,
    load_past_verdicts,
    load_verdict,
)

__all__ = [
    "count_living_workers",
    "load_about",
    "load_bar_totals",
    "load_bars",
    "load_closes",
    "load_coins",
    "load_contents",
    "load_disagreements",
    "load_factor_days",
    "load_first_known",
    "load_head",
    "load_held_back",
    "load_history",
    "load_in_force",
    "load_liquidation_pairs",
    "load_liquidation_past",
    "load_liquidation_sums",
    "load_liquidations",
    "load_looks",
    "load_model_record",
    "load_newest",
    "load_newest_verdicts",
    "load_operation",
    "load_origin",
    "load_outcomes_of",
    "load_pairs",
    "load_past_verdicts",
    "load_pieces_of_work",
    "load_progress",
    "load_provenance",
    "load_published",
    "load_record_options",
    "load_result",
    "load_run",
    "load_runs",
    "load_schedule",
    "load_settled",
    "load_signal",
    "load_signals_behind",
    "load_span",
    "load_stored_profile",
    "load_stream_gaps",
    "load_streams",
    "load_symbols",
    "load_tallies",
    "load_unfinished",
    "load_verdict",
    "load_versions",
]
