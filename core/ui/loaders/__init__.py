"""The only cache: what the store holds, the same for everyone, kept for seconds.

Nothing about a person goes in here. A failing database raises `StoreError`, and what is raised is
not kept, so the next reader asks again.
"""

from core.ui.loaders.kept import load_progress
from core.ui.loaders.ledger import load_head
from core.ui.loaders.market import (
    load_bars,
    load_closes,
    load_coins,
    load_directions_since,
    load_history,
    load_newest,
    load_origin,
    load_outcomes,
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
    "load_about",
    "load_bar_totals",
    "load_bars",
    "load_closes",
    "load_coins",
    "load_directions_since",
    "load_first_known",
    "load_head",
    "load_history",
    "load_liquidation_pairs",
    "load_liquidation_past",
    "load_liquidation_sums",
    "load_liquidations",
    "load_model_record",
    "load_newest",
    "load_newest_verdicts",
    "load_operation",
    "load_origin",
    "load_outcomes",
    "load_outcomes_of",
    "load_past_verdicts",
    "load_pieces_of_work",
    "load_progress",
    "load_provenance",
    "load_published",
    "load_signal",
    "load_span",
    "load_stream_gaps",
    "load_streams",
    "load_verdict",
]
