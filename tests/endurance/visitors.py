"""People at browsers without the browsers: they sign in, look, choose, open a market, and wait.

As a program it is all of them, in a process of its own: `python -m tests.endurance.visitors OPTIONS`
prints what they met as JSON. Between two clicks somebody waits 3 to 15 s, at random and evenly. Of ten
clicks on the list of markets three open one; of ten anywhere two go to another page by the menu, by how
often people do. All others choose something on the page.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import httpx
import psutil
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from tests.endurance.frontend import (
    Asked,
    Drawn,
    Frontend,
    data_of,
    options_of,
    pressed,
    told,
)

_WATCH = "cryptosatx_watch"
WAITS = (3.0, 15.0)
PATIENCE_SECONDS = 60.0
# How often people of a role go where, of what their menu has.
WANTED: Mapping[str, Mapping[str, int]] = {
    "trader": {"signals": 6, "symbol": 3, "liquidations": 3, "alerts": 2, "account": 1},
    "analyst": {"signals": 4, "symbol": 3, "accuracy": 5, "backtest": 2, "liquidations": 2},
    "admin": {"signals": 4, "symbol": 3, "alerts": 3, "rules": 2, "system": 3, "people": 1},
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"
# Choices that are somebody's work, not a look at it.
LEFT_ALONE = ("role", "Role")


@dataclass
class Met:
    """What visitors met. A run is [kind, page, seconds, Unix time at which it was asked for]; kinds are
    ``first`` (the page of a new tab), ``open`` (a market from the list), ``go`` (the menu), ``click``,
    ``auto`` (what moves by itself) and ``look`` (whether a part has changed). ``faults`` are errors that a page showed, closed connections and
    answers that were not 200.
    """

    runs: list[tuple[str, str, float, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    messages: int = 0
    bytes: int = 0


class Visitor:
    """One person with one tab."""

    def __init__(self, url: str, name: str, role: str, password: str, met: Met, seed: int) -> None:
        self._url, self._name, self._role, self._password = url, name, role, password
        self._met, self._random = met, Random(seed)
        self._http = httpx.AsyncClient(base_url=url, headers={"User-Agent": AGENT}, timeout=60)
        self._socket: ClientConnection | None = None
        self._asked: list[Asked] = []
        self._settled = asyncio.Event()
        self._told: dict[str, float] = {}
        self._later: set[asyncio.Task[None]] = set()
        self._timers: dict[str, tuple[float, asyncio.Task[None]]] = {}
        self._page = self._new_page("signals")
        self._leaving = False

    async def visit(self, until: float, arrived: asyncio.Event) -> None:
        """Sign in, look around until then, and leave."""
        try:
            await self._enter()
            arrived.set()
            while (wait := min(self._random.uniform(*WAITS), until - time.time())) > 0:
                await asyncio.sleep(wait)
                if time.time() < until:
                    await self._act()
        except (ConnectionClosed, httpx.HTTPError, TimeoutError, OSError) as error:
            self._met.faults.append(f"{self._name}: {type(error).__name__} {error}")
        finally:
            arrived.set()
            await self._close()
            await self._http.aclose()

    # What a person does

    async def _enter(self) -> None:
        """By the form, as anybody does; the ticket it ends in is traded for a session."""
        await self._open("signals", kind="")
        page = self._page
        for label, text in (("Username", self._name), ("Password", self._password)):
            field_ = page.named("text_input", label)
            page.states[field_.proto.id].string_value = text
        await self._ask("", trigger=pressed(page.named("button", "Sign in").proto))
        to = data_of(self._needed("cryptosatx_go"))["to"]
        await self._close()
        await self._get(to, page=True)
        await self._open("signals", kind="first")

    async def _act(self) -> None:
        page = self._page
        chance = self._random.random()
        if page.path == "signals" and chance < 0.3 and page.component("cryptosatx_markets"):
            await self._open_market()
        elif chance > 0.8:
            await self._go()
        else:
            await self._choose()

    async def _open_market(self) -> None:
        rows = _markets(self._needed("cryptosatx_markets"))["rows"]
        query = self._random.choice(rows[:40])["href"].partition("?")[2]
        await self._ask("open", page_hash=self._page.leave_for("symbol", query), history=True)

    async def _go(self) -> None:
        wanted = WANTED[self._role]
        path = self._random.choices(list(wanted), list(wanted.values()))[0]
        await self._ask("go", page_hash=self._page.leave_for(path))

    async def _choose(self) -> None:
        """Another choice of a widget of the page, or another order by a click on a column."""
        page, chance = self._page, self._random
        table = page.component("cryptosatx_markets")
        if table is not None and chance.random() < 0.15:
            parts = [part for column in _markets(table)["columns"] for part in column["parts"]]
            orders = [order for part in parts for order in part["orders"]]
            await self._ask("click", trigger=told(table, "sort", chance.choice(orders)))
            return
        widgets = [one for one in page.widgets() if one.proto.label not in LEFT_ALONE]
        if not widgets:
            await self._ask("click")
            return
        one = chance.choice(widgets)
        page.choose(one, self._chosen(one))
        await self._ask("click", fragment=one.fragment)

    def _chosen(self, one: Drawn) -> list[str]:
        options = options_of(one)
        if one.kind == "multiselect":
            return self._random.sample(options, k=self._random.randint(0, min(2, len(options))))
        state = self._page.states.get(one.proto.id)
        held = [] if state is None else [state.string_value, *state.string_array_value.data]
        return [self._random.choice([option for option in options if option not in held])]

    def _needed(self, name: str) -> Drawn:
        found = self._page.component(name)
        if found is None:
            shown = "; ".join(sorted({one.kind for one in self._page.drawn.values()}))
            raise OSError(f"there is no {name} on {self._page.path}: {shown} {self._page.faults}")
        return found

    # What the browser does for them

    def _new_page(self, path: str) -> Frontend:
        return Frontend("Europe/Berlin", self._url, path)

    async def _get(self, path: str, *, page: bool = False) -> httpx.Response:
        accept = {"Accept": "text/html" if page else "*/*"}
        answer = await self._http.get(path, headers=accept, follow_redirects=True)
        if answer.status_code != 200:
            self._met.faults.append(f"{path.partition('?')[0]}: {answer.status_code}")
        return answer

    async def _open(self, path: str, *, kind: str) -> None:
        """Load a page; its scripts are in the browser's cache."""
        await self._get(f"/{path}", page=True)
        await self._get("/_stcore/health")
        await self._get("/_stcore/host-config")
        self._page = self._new_page(path)
        cookies = self._http.cookies
        said = "; ".join(f"{one.name}={one.value}" for one in cookies.jar)
        token = cookies.get("_streamlit_xsrf") or "PLACEHOLDER"
        self._socket = await connect(
            f"{self._url.replace('http', 'ws', 1)}/_stcore/stream",
            origin=Origin(self._url),
            subprotocols=[Subprotocol("streamlit"), Subprotocol(token)],
            additional_headers={"Cookie": said},
            user_agent_header=AGENT,
            max_size=None,
            compression=None,
        )
        self._listening = asyncio.create_task(self._listen(self._socket))
        self._listening.add_done_callback(lambda _: self._settled.set())
        self._watching = asyncio.create_task(self._watch())
        await self._ask(kind, page_hash="")

    async def _close(self) -> None:
        self._keep_moving({})
        if self._socket is not None:
            self._watching.cancel()
            self._leaving = True
            await self._socket.close()
            await self._listening
            self._socket, self._leaving = None, False
        self._asked.clear()

    async def _ask(self, kind: str, *, fragment: str = "", **how: Any) -> None:
        """Ask for a run and wait until it is over; ``kind`` "" is not counted."""
        asked = Asked(kind, self._page.path, fragment, time.time())
        self._asked.append(asked)
        assert self._socket is not None
        await self._socket.send(self._page.rerun(fragment=fragment, **how))
        give_up = time.monotonic() + PATIENCE_SECONDS
        while asked in self._asked:
            self._settled.clear()
            if self._listening.done():
                raise OSError("the connection is closed")
            try:
                await asyncio.wait_for(self._settled.wait(), give_up - time.monotonic())
            except TimeoutError:
                late = f"a run ({kind}) of {asked.page} {fragment} was not over after "
                raise OSError(f"{late}{PATIENCE_SECONDS:.0f} s, begun: {asked.begun}") from None

    async def _listen(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for data in socket:
                assert isinstance(data, bytes)
                self._met.messages += 1
                self._met.bytes += len(data)
                message = self._page.hear(ForwardMsg.FromString(data))
                kind = message.WhichOneof("type")
                if kind == "new_session":
                    self._begun(tuple(message.metadata.run.fragment_ids))
                elif kind == "script_finished":
                    self._over(message)
                if kind in ("new_session", "auto_rerun", "stop_auto_rerun"):
                    self._keep_moving(self._page.moving)
                if self._page.faults:
                    self._met.faults += self._page.faults
                    self._page.faults.clear()
        if not self._leaving:
            said = f"{socket.close_code} {socket.close_reason}"
            self._met.faults.append(f"{self._name}: the server closed the connection, {said}")

    def _begun(self, fragments: tuple[str, ...]) -> None:
        if not fragments:
            # A part that moves by itself and was waiting for its turn is drawn with the page.
            self._asked[:] = [one for one in self._asked if one.kind != "auto"]
        for one in list(self._asked):
            if not fragments or one.fragment in fragments:
                one.begun, one.cut_at = True, 0.0
            elif one.cut_at:
                # A part that is interrupted is in the run that follows. This one was over: of a run of
                # another part that begins before its end is told, Streamlit says the end was early.
                self._end(one, one.cut_at)
        self._settled.set()

    def _over(self, message: ForwardMsg) -> None:
        now, fragments = time.time(), tuple(message.metadata.run.fragment_ids)
        status = message.script_finished
        ended = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
        for one in list(self._asked):
            if one.begun and (not fragments or one.fragment in fragments):
                if status in ended:
                    self._end(one, now)
                elif one.fragment in fragments:
                    one.cut_at = now
        self._settled.set()

    def _end(self, one: Asked, at: float) -> None:
        self._asked.remove(one)
        if one.kind:
            self._met.runs.append((one.kind, one.page, at - one.sent_at, one.sent_at))

    def _keep_moving(self, wanted: Mapping[str, float]) -> None:
        """A clock for each part of the page that moves by itself, as `setInterval` does."""
        for fragment, (interval, clock) in list(self._timers.items()):
            if wanted.get(fragment) != interval:
                clock.cancel()
                del self._timers[fragment]
        for fragment, interval in wanted.items():
            if fragment not in self._timers:
                clock = asyncio.create_task(self._tick(fragment, interval))
                self._timers[fragment] = interval, clock

    async def _tick(self, fragment: str, interval: float) -> None:
        due = time.monotonic()
        with suppress(ConnectionClosed):
            while self._socket is not None:
                due += interval
                await asyncio.sleep(due - time.monotonic())
                self._asked.append(Asked("auto", self._page.path, fragment, time.time()))
                await self._socket.send(self._page.rerun(fragment=fragment, auto=True))

    async def _watch(self) -> None:
        """What `watched.js` does: ask for marks, and have run what is drawn by others."""
        share = self._random.random()
        while True:
            parts = {one.proto.id: data_of(one) for one in self._page.components(_WATCH)}
            every = next((data["every"] for data in parts.values()), 1.0)
            await asyncio.sleep(every * share)
            share = 1.0
            if parts:
                await self._look(parts)

    async def _look(self, parts: Mapping[str, Any]) -> None:
        began, some = time.time(), next(iter(parts.values()))
        names = {name for data in parts.values() for name in data["marks"]}
        with suppress(httpx.HTTPError):
            found = (await self._get(f"{some['address']}?of={','.join(names)}")).json()
            self._met.runs.append(("look", self._page.path, time.time() - began, began))
            apart = 0.0
            for part, data in parts.items():
                apart += 0.4 * self._tell(part, data, found, apart)

    def _tell(
        self, part: str, data: Mapping[str, Any], found: Mapping[str, str | None], after: float
    ) -> bool:
        """Have a part run again if it has changed; whether it has."""
        marks, now = data["marks"], time.monotonic()
        changed = [name for name in marks if (found.get(name) or marks[name]) != marks[name]]
        if not changed or now < self._told.get(f"{part} {marks}", 0):
            return False
        longest = min(data["spread"].get(name, 0) for name in changed)
        self._told = {f"{part} {marks}": now + longest + 9}
        wait = after + longest * self._random.random()
        later = asyncio.create_task(self._renew(part, changed, wait))
        self._later.add(later)
        later.add_done_callback(self._later.discard)
        return True

    async def _renew(self, part: str, changed: list[str], wait: float) -> None:
        await asyncio.sleep(wait)
        # What the person has asked for is heard first.
        while any(one.kind != "auto" and not one.begun for one in self._asked):
            await asyncio.sleep(0.2)
        found = [one for one in self._page.components(_WATCH) if one.proto.id == part]
        if self._socket is None or not found:
            return
        one = found[0]
        self._asked.append(Asked("auto", self._page.path, one.fragment, time.time()))
        with suppress(ConnectionClosed):
            trigger = told(one, "changed", " ".join(changed))
            await self._socket.send(self._page.rerun(fragment=one.fragment, trigger=trigger))


def _markets(table: Drawn) -> dict[str, Any]:
    """What the table of markets was given."""
    found: dict[str, Any] = json.loads(data_of(table)["text"])
    return found


async def visit(options: Mapping[str, Any]) -> Met:
    """Let everybody come one after another within ``ramp`` seconds, and stay until ``until``."""
    met, coming = Met(), []
    for number, (name, role) in enumerate(options["people"]):
        url = options["urls"][number % len(options["urls"])]
        visitor = Visitor(url, name, role, options["password"], met, number)
        arrived = asyncio.Event()
        coming.append(asyncio.create_task(visitor.visit(options["until"], arrived)))
        left = len(options["people"]) - number
        pause = max(0.0, (options["all_there"] - time.time()) / left)
        await asyncio.gather(asyncio.sleep(pause), arrived.wait())
    found = await asyncio.gather(*coming, return_exceptions=True)
    met.faults += [repr(error) for error in found if error is not None]
    return met


def main(options: Mapping[str, Any]) -> None:
    import logging

    logging.getLogger("httpx").setLevel(logging.WARNING)
    met = asyncio.run(visit(options))
    used = sum(psutil.Process().cpu_times()[:2])
    sys.stdout.write(json.dumps({**asdict(met), "cpu_seconds": used}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
