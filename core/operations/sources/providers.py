"""Operations on the providers beside the exchanges: one for each endpoint of their tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from core.errors import SourceKeyMissing, SourceRefused, SourceReplyWrong
from core.market.http import Check
from core.market.sources import (
    KEYS,
    alternative_me,
    coinapi,
    coingecko,
    coinglass,
    key_of,
    lunarcrush,
)
from core.operations.registry import Context, Operation, Parameters
from core.operations.sources.answers import SourceAnswer, answer_of
from core.operations.sources.reading import Wanted, readers_of
from core.operations.sources.table import (
    Endpoint,
    Table,
    Taken,
    example_of,
    load_table,
    parameters_of,
)

SCOPE = "sources.read"
Charges = Callable[[str | None, Mapping[str, str]], Mapping[str, int] | None]
_BUSY_CODES = ("429", "50001")


@dataclass(frozen=True)
class Provider:
    """How a provider is asked: where, with which header for the key, at which cost, and how its
    errors are told apart from replies."""

    url: str
    headers: Callable[[str], Mapping[str, str]]
    charges: Charges = lambda _key, _params: None
    check: Check | None = None


def _check_coinglass(reply: Any) -> None:
    """It tells what went wrong inside of what looks like a success."""
    if not isinstance(reply, Mapping) or "code" not in reply:
        raise SourceReplyWrong("coinglass sent a reply without its code.")
    code = str(reply["code"])
    if code == "0":
        return
    words = f"coinglass answered {code}: {str(reply.get('msg', ''))[:160]}."
    # Most others are about this one question, as where a plan does not hold an endpoint.
    raise SourceRefused(words) if code in _BUSY_CODES else SourceReplyWrong(words)


def _coinapi_charges(_key: str | None, params: Mapping[str, str]) -> Mapping[str, int]:
    """Every 100 rows count as one request."""
    return {"requests": math.ceil(int(params.get("limit", "1")) / 100)}


def _coingecko_charges(key: str | None, _params: Mapping[str, str]) -> Mapping[str, int]:
    return {"requests": 1} if key else {"requests": 1, "without a key": 1}


PROVIDERS: Mapping[str, Provider] = {
    coinglass.SOURCE: Provider(
        "https://open-api-v4.coinglass.com",
        lambda key: {"CG-API-KEY": key},
        check=_check_coinglass,
    ),
    lunarcrush.SOURCE: Provider(lunarcrush.URL, lambda key: {"Authorization": f"Bearer {key}"}),
    coinapi.SOURCE: Provider(
        coinapi.URL, lambda key: {"X-CoinAPI-Key": key}, charges=_coinapi_charges
    ),
    coingecko.SOURCE: Provider(
        coingecko.URL, lambda key: {"x-cg-demo-api-key": key}, charges=_coingecko_charges
    ),
    alternative_me.SOURCE: Provider("https://api.alternative.me", lambda _key: {}),
}


def provider_operations(source: str) -> Iterator[Operation[Any]]:
    """An operation for each endpoint of a provider's table."""
    table = load_table(source)
    for endpoint in table.endpoints:
        yield _operation(source, table, endpoint)


def wanted_of(
    source: str,
    endpoint: Endpoint,
    taken: tuple[Taken, ...],
    given: Mapping[str, Any],
    key: str | None,
) -> Wanted:
    """The question that parameters make: those of the path as single escaped parts of it, the rest
    behind the question mark."""
    provider = PROVIDERS[source]
    written = {
        one.name: text
        for one in taken
        if given.get(one.name) is not None and (text := one.kind.write(given[one.name])) is not None
    }
    path = endpoint.path
    for name in endpoint.in_path:
        path = path.replace(f"{{{name}}}", quote(written.pop(name), safe=""))
    return Wanted(
        source,
        provider.url + path,
        params=written,
        headers=provider.headers(key) if key else {},
        charges=provider.charges(key, written),
        check=provider.check,
    )


def _operation(source: str, table: Table, endpoint: Endpoint) -> Operation[Any]:
    name, taken = f"{source}_{endpoint.name}", table.taken(endpoint)

    def run(context: Context, asked: Parameters) -> SourceAnswer:
        key = _key(source, context)
        wanted = wanted_of(source, endpoint, taken, asked.model_dump(), key)
        readers = readers_of(context.settings)
        found = readers.ask(wanted, seconds=endpoint.seconds, until=context.until)
        return answer_of(source, endpoint.path, found)

    return Operation(
        name,
        endpoint.title,
        f"{endpoint.says} {table.about}",
        source,
        endpoint.role,
        SCOPE,
        parameters_of(name, taken),
        run,
        result=SourceAnswer,
        examples=(example_of(taken),),
        path=f"/sources/{source}/{endpoint.name}",
    )


def _key(source: str, context: Context) -> str | None:
    key = key_of(source, context.settings)
    if key is None and source in KEYS:
        setting = f"{source}_api_key".upper()
        raise SourceKeyMissing(
            f"{source} answers only with a key, and this server has none: whoever runs it sets {setting}."
        )
    return key
