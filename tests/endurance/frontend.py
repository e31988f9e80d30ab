"""What Streamlit's script in a browser keeps of a page and says to the server, without a browser.

It holds the elements that the newest runs drew, the value of every widget, the address with what
widgets put into it, and the messages that it has seen often enough to be told by their hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ContextInfo
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

# What the header puts into the address stays when the page changes.
SHARED = ("mode", "tz")


@dataclass
class Drawn:
    """An element at its place, by the run and the script that drew it."""

    kind: str
    proto: Any
    run: str = ""
    fragment: str = ""
    script: str = ""


@dataclass
class Asked:
    """A run that was asked for and is not over; ``fragment`` is "" for a whole page. ``cut_at`` is when it
    was said to have ended early, 0 while it was not."""

    kind: str
    page: str
    fragment: str
    sent_at: float
    begun: bool = False
    cut_at: float = 0.0


@dataclass
class Frontend:
    """One page of one browser tab."""

    timezone: str
    origin: str
    path: str
    query: str = ""
    page_hash: str = ""
    session_id: str = ""
    drawn: dict[tuple[int, ...], Drawn] = field(default_factory=dict)
    states: dict[str, WidgetState] = field(default_factory=dict)
    # Interval in seconds of each fragment that moves by itself.
    moving: dict[str, float] = field(default_factory=dict)
    menu: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    # Each with the number of the run in which it was last of use.
    _cached: dict[str, tuple[ForwardMsg, int]] = field(default_factory=dict)
    _runs: int = 0
    _longest_cached: int = 2
    _main_hash: str = ""
    _run: str = ""
    _fragments: tuple[str, ...] = ()

    # From the server

    def hear(self, message: ForwardMsg) -> ForwardMsg:
        """Take a message in; the message itself, where only its hash came."""
        if message.WhichOneof("type") == "ref_hash":
            if message.ref_hash not in self._cached:
                self.faults.append(f"{self.path}: a message was told by a hash that is not known")
                return message
            known, _ = self._cached[message.ref_hash]
            whole = ForwardMsg()
            whole.CopyFrom(known)
            whole.metadata.CopyFrom(message.metadata)
            self._cached[message.ref_hash] = known, self._runs
            message = whole
        elif message.metadata.cacheable:
            self._cached[message.hash] = message, self._runs
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self._begin(message)
        elif kind == "delta":
            self._draw(message)
        elif kind == "script_finished":
            self._finish(message)
        elif kind == "auto_rerun":
            self.moving[message.auto_rerun.fragment_id] = message.auto_rerun.interval
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self.moving.pop(fragment, None)
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "navigation":
            self._navigate(message)
        elif kind == "page_not_found":
            self.faults.append(f"page not found: {message.page_not_found.page_name}")
        return message

    def _begin(self, message: ForwardMsg) -> None:
        session, run = message.new_session, message.metadata.run
        self._run, self._fragments = run.script_run_id, tuple(run.fragment_ids)
        if self._fragments:
            return
        self.moving.clear()
        self.page_hash, self._main_hash = session.page_script_hash, session.main_script_hash
        if session.HasField("initialize"):
            self.session_id = session.initialize.session_id
        self._longest_cached = session.config.max_cached_message_age

    def _navigate(self, message: ForwardMsg) -> None:
        told = message.navigation
        self.page_hash = told.page_script_hash
        pages = list(told.app_pages)
        self.paths = {one.page_script_hash: one.url_pathname for one in pages}
        self.menu = {one.url_pathname: one.page_script_hash for one in pages if not one.is_hidden}
        self.path = self.paths.get(self.page_hash, self.path)

    def _draw(self, message: ForwardMsg) -> None:
        place, delta = tuple(message.metadata.delta_path), message.delta
        if delta.WhichOneof("type") == "add_block":
            self.drawn.pop(place, None)
            return
        element = delta.new_element
        kind = element.WhichOneof("type")
        if kind is None:
            return
        proto = getattr(element, kind)
        script = message.metadata.active_script_hash
        self.drawn[place] = Drawn(kind, proto, self._run, delta.fragment_id, script)
        if kind == "exception":
            self.faults.append(f"{self.path}: {proto.type} {proto.message}")
        # The second is how the product itself says that a page has failed.
        if kind in ("alert", "markdown") and (
            getattr(proto, "format", None) == Alert.ERROR or ":material/error:" in proto.body
        ):
            self.faults.append(f"{self.path}: {proto.body}")
        if getattr(proto, "id", "") and (proto.id not in self.states or _is_told(proto)):
            value = _first_state(kind, proto)
            if value is not None:
                self.states[proto.id] = value

    def _finish(self, message: ForwardMsg) -> None:
        """What this run did not draw again goes."""
        status = message.script_finished
        if status == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
            ran = set(message.metadata.run.fragment_ids)
            gone = [
                at for at, one in self.drawn.items() if one.fragment in ran and one.run != self._run
            ]
        elif status == ForwardMsg.FINISHED_SUCCESSFULLY:
            ran = set()
            gone = [at for at, one in self.drawn.items() if one.run != self._run]
        else:
            return
        self._runs += 1
        for hash_, (kept, seen) in list(self._cached.items()):
            old = self._runs - seen > self._longest_cached
            if old and (not ran or kept.delta.fragment_id in ran):
                del self._cached[hash_]
        for place in gone:
            del self.drawn[place]
        self._keep_states()

    def _keep_states(self) -> None:
        there = {getattr(one.proto, "id", "") for one in self.drawn.values()}
        self.states = {id_: state for id_, state in self.states.items() if id_ in there}

    # To the server

    def rerun(
        self,
        *,
        page_hash: str | None = None,
        fragment: str = "",
        auto: bool = False,
        history: bool = False,
        trigger: WidgetState | None = None,
    ) -> bytes:
        """The message that asks for a run; without a page for one of the page that is open."""
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string = self.query
        asked.widget_states.widgets.extend(self.states.values())
        if trigger is not None:
            asked.widget_states.widgets.append(trigger)
        asked.page_script_hash = self.page_hash if page_hash is None else page_hash
        if not asked.page_script_hash:
            asked.page_name = self.path
        asked.fragment_id, asked.is_auto_rerun, asked.is_history_navigation = (
            fragment,
            auto,
            history,
        )
        asked.cached_message_hashes.extend(self._cached)
        asked.context_info.CopyFrom(
            ContextInfo(
                timezone=self.timezone,
                timezone_offset=-60,
                locale="en-GB",
                url=f"{self.origin}/{self.path}",
                is_embedded=False,
                color_scheme="light",
            )
        )
        return message.SerializeToString()

    def leave_for(self, path: str, query: str = "") -> str:
        """Go to another page of this site; its hash. What is drawn on every page stays as it is, in the
        address too.
        """
        self.moving.clear()
        self.drawn = {at: one for at, one in self.drawn.items() if one.script == self._main_hash}
        self._keep_states()
        kept = [(name, value) for name, value in parse_qsl(self.query) if name in SHARED]
        self.query = urlencode([*parse_qsl(query), *kept])
        self.path = path
        return next(hash_ for hash_, one in self.paths.items() if one == path)

    def choose(self, one: Drawn, values: list[str]) -> None:
        """Have a widget hold these values, and the address where it is bound to one."""
        self.states[one.proto.id] = _state(one.kind, one.proto.id, values)
        name = getattr(one.proto, "query_param_key", "")
        if name:
            kept = [(key, value) for key, value in parse_qsl(self.query) if key != name]
            if values != default_of(one):
                kept += [(name, value) for value in values]
            self.query = urlencode(kept)

    def widgets(self) -> Iterator[Drawn]:
        """What can be chosen from: outside of forms, and in use."""
        for one in self.drawn.values():
            usable = one.kind in _CHOICES and not (one.proto.disabled or one.proto.form_id)
            if usable and not one.proto.ignore_rerun and len(options_of(one)) > 1:
                yield one

    def named(self, kind: str, label: str) -> Drawn:
        """The widget of that label."""
        found = (one for one in self.drawn.values() if one.kind == kind)
        return next(one for one in found if one.proto.label == label)

    def component(self, name: str) -> Drawn | None:
        """The component of that name, if the page has one."""
        return next(self.components(name), None)

    def components(self, name: str) -> Iterator[Drawn]:
        """All of that name."""
        for one in self.drawn.values():
            if one.kind == "bidi_component" and one.proto.component_name.endswith(name):
                yield one


_CHOICES = {
    "button_group": "string_array_value",
    "selectbox": "string_value",
    "multiselect": "string_array_value",
}
_OTHERS = {"text_input": "string_value", "number_input": "double_value", "checkbox": "bool_value"}


def options_of(one: Drawn) -> list[str]:
    """The words of a widget's choices."""
    if one.kind == "button_group":
        return [option.content for option in one.proto.options]
    return list(one.proto.options)


def default_of(one: Drawn) -> list[str]:
    """What is chosen before anybody does."""
    options = options_of(one)
    if one.kind == "selectbox":
        return [options[one.proto.default]] if one.proto.HasField("default") else []
    return [options[number] for number in one.proto.default]


def data_of(one: Drawn) -> Any:
    """What a component was given to draw."""
    data = one.proto.WhichOneof("data")
    return json.loads(one.proto.mixed.json if data == "mixed" else one.proto.json)


def pressed(button: Any) -> WidgetState:
    """A button that is being clicked."""
    return WidgetState(id=button.id, trigger_value=True)


def told(component: Drawn, event: str, value: object) -> WidgetState:
    """What a component reports once."""
    id_ = f"$$STREAMLIT_INTERNAL_KEY_{component.proto.id}__events"
    return WidgetState(id=id_, json_trigger_value=json.dumps([{"event": event, "value": value}]))


def _is_told(proto: Any) -> bool:
    return bool(getattr(proto, "set_value", False))


def _first_state(kind: str, proto: Any) -> WidgetState | None:
    if kind in _CHOICES:
        one = Drawn(kind, proto)
        if not _is_told(proto):
            return _state(kind, proto.id, default_of(one))
        raw = [proto.raw_value] if kind == "selectbox" else list(proto.raw_values)
        return _state(kind, proto.id, [value for value in raw if value])
    if kind not in _OTHERS:
        return None
    value = proto.value if _is_told(proto) else proto.default
    return WidgetState(id=proto.id, **{_OTHERS[kind]: value})


def _state(kind: str, id_: str, values: list[str]) -> WidgetState:
    state = WidgetState(id=id_)
    if _CHOICES[kind] == "string_value":
        if values:
            state.string_value = values[0]
    else:
        state.string_array_value.data.extend(values)
    return state
