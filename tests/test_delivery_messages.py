"""Templates: what they can say, and that nothing else can be had of them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from core.alerts.delivery import (
    DEFAULT_TEXT,
    DEFAULT_TITLE,
    EXAMPLE,
    VARIABLES,
    check_template,
    compose,
    preview,
)
from core.alerts.delivery.messages import LONGEST_TEXT, LONGEST_TITLE
from core.alerts.delivery.sandbox import LONGEST_SECONDS
from core.errors import DeliveryError

A = "'" + "a" * 50 + "'"
LISTS = "{% for x in fired %}" * 2
ATTACKS = [
    # out of the sandbox
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ rule.__init__.__globals__ }}",
    "{{ fired.__class__ }}",
    "{{ rule | attr('__class__') }}",
    "{{ rule['__class__'] }}",
    "{{ fired | map(attribute='__class__') | join }}",
    "{{ fired | map('attr', '__class__') | list }}",
    "{{ fired | sort(attribute='__class__') | join }}",
    "{{ fired | selectattr('__class__') | join }}",
    "{{ self.__init__ }}",
    "{{ self }}",
    "{{ config }}",
    "{{ request }}",
    "{{ lipsum.__globals__.os.popen('id').read() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner }}",
    "{{ namespace }}",
    "{{ dict }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ rule.format() }}",
    "{{ '{0.__class__}'.format(rule) }}",
    "{{ '{0.__class__}'.format_map(fired[0]) }}",
    "{{ '%s' % rule }}",
    "{{ '%c' % 99999999 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ rule | format(1) }}",
    "{{ rule | pprint }}",
    "{{ rule | tojson }}",
    "{{ rule | xmlattr }}",
    "{{ rule | safe }}",
    "{{ loop }}",
    "{{ caller }}",
    "{{ varargs }}",
    "{% import 'os' as os %}",
    "{% from 'os' import path %}",
    "{% include '/etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% block x %}y{% endblock %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% call rule() %}{% endcall %}",
    "{% set x = 1 %}{{ rule }}",
    "{% set x %}{{ rule }}{% endset %}",
    "{% with x = rule %}{{ x }}{% endwith %}",
    "{% filter upper %}x{% endfilter %}",
    "{% do fired.append(1) %}",
    "{{ fired.append(1) }}",
    "{{ fired.clear() }}",
    "{{ fired[0].update(symbol='x') }}",
    "{% autoescape true %}{{ rule }}{% endautoescape %}{{ x }}",
    # to burn time or memory
    "{{ range(1000000000) }}",
    "{% for x in range(1000000000) %}{% endfor %}",
    "{{ 'a' * 1000000000 }}",
    "{{ 1000000000 * 'a' }}",
    "{{ [0] * 1000000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 2 ** 1000000 }}",
    "{{ " + "99999999999 * " * 300 + "9 }}",
    "{{ rule | center(1000000000) }}",
    "{{ rule | indent(1000000000) }}",
    "{{ rule | replace('', 'x' * 1000) }}",
    "{{ rule | wordwrap(0) }}",
    "{{ rule | truncate(1) }}",
    "{{ 1.5 | round(1000000000) | string | length | number(1000000000000) ~ x }}",
    "{{ " + f"{A} | join(" * 30 + A + ")" * 30 + " }}",
    "{{ " + f"{A} | join(" * 5 + A + ")" * 5 + " | join(" + A + ") }}",
    "{% for a in fired %}" * 3 + "x" + "{% endfor %}" * 3,
    "{% for a in fired recursive %}{{ loop(fired) }}{% endfor %}",
    "{% for a in ["
    + "1," * 400
    + "1] %}{% for b in ["
    + "1," * 400
    + "1] %}{% endfor %}{% endfor %}",
    "{% for c in rule %}x{% endfor %}",
    "{% for c in fired[0] %}x{% endfor %}",
    "{{ fired | list | list | " * 0 + "{{ rule | list | join(rule | join(rule)) | foo }}",
    "{{ '" + "x" * 4_100 + "' }}",
    "{{ (" * 60 + "1" + ") }}" * 60,
    "{{ " + "(" * 1_500 + "1" + ")" * 1_500 + " }}",
    "{{ " + "not " * 900 + "rule }}",
    "{{ " + "-" * 1_900 + "1 }}",
    "{% if rule %}" * 200 + "x" + "{% endif %}" * 200 + "{{ x }}",
    "{% for a in fired %}{{ '" + "y" * 3_800 + "' }}{% endfor %}",
    "{{ fired[99999999999999999999] }}",
    "{{ fired[::0] }}",
    "{{ 1 / 0 }}",
    "{{ fired < 1 }}",
    "{{ 1 + rule }}",
    # what is not there, or cannot be read
    "{{ }}",
    "{{ rule",
    "{% if rule %}x",
    "{% for %}",
    "{{ rul }}",
    "{{ fired[0].symbl }}",
    "{{ fired[5].symbol }}",
    "{{ rule | uper }}",
    "{{ rule is happy }}",
    "{{ fired[0].values.scor }}",
    "",
    "   ",
    "{# nothing #}",
]


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ 5 | round(-99999999) }}", "0.0"),
        ('{{ 2.345 | round(30000000, "ceil") }}', "2.345"),
        ("{{ fired | length | round(-20000000) }}", "0.0"),
        ("{{ 2.345 | round(1) }}", "2.3"),
        ('{{ 2.345 | round(1, "floor") }}', "2.3"),
        ("{{ 2.5 | round }}", "2.0"),
    ],
)
def test_rounding_takes_the_digits_that_a_number_can_have(template: str, made: str) -> None:
    began = time.process_time()
    assert preview(template) == made
    assert time.process_time() - began < 1


@pytest.mark.parametrize("template", ["{{ 1e400 | int }}", "{{ rule | round }}"])
def test_whatever_a_template_runs_into_is_told_in_a_sentence(template: str) -> None:
    with pytest.raises(DeliveryError):
        preview(template)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{%if rule%}" * 110 + "x" + "{%endif%}" * 110, "nested deeper than 16 levels"),
        ("{{ " + "1 if rule=='a' else " * 180 + "2 }}", "nested deeper than 16 levels"),
        ("{{ rule" + "|upper" * 500 + " }}", "nested deeper than 16 levels"),
        ("{{rule|upper}}" * 280, "more than 500 parts"),
    ],
)
def test_a_template_that_takes_long_to_compile_is_refused_before_it_is(
    template: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled(*_: object) -> None:
        raise AssertionError("it was compiled")

    monkeypatch.setattr("core.alerts.delivery.sandbox._environment.from_string", compiled)
    with pytest.raises(DeliveryError, match=said):
        check_template(template)


def test_whatever_python_refuses_of_a_template_is_told_and_loses_no_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It compiles what Jinja makes of it, and has limits of its own, such as a hundred indentations."""
    monkeypatch.setattr("core.alerts.delivery.sandbox.DEEPEST", 200)
    template = "{%if rule%}" * 110 + "x" + "{%endif%}" * 110
    with pytest.raises(DeliveryError, match="it cannot be used: too many levels of indentation"):
        check_template(template)
    title, text, complaint = compose(None, template, EXAMPLE)
    assert (title, "BTCUSDT SHORT" in text) == ("WARNING: Crowded longs: BTCUSDT, ETHUSDT", True)
    assert complaint is not None


@pytest.mark.parametrize("template", ATTACKS)
def test_what_a_template_must_not_do_is_refused_in_a_sentence_and_at_once(template: str) -> None:
    began = time.process_time()
    with pytest.raises(DeliveryError) as caught:
        check_template(template)
    # Of the processor's time, and with room for compiling on a busy machine.
    assert time.process_time() - began < 4 * LONGEST_SECONDS + 1
    said = str(caught.value)
    assert said.endswith((".", "?"))
    assert len(said) < 400


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\nb {{ rul }}", "Line 2: there is no rul; did you mean rule?"),
        ("{{ rule | uper }}", "Line 1: "),
        ("a\n\n{{ fired[0].symbl }}", "Line 3: "),
        ("a\n{% if rule %}", "Line 2: "),
        ("x\n{{ 1 / 0 }}", "Line 2: division by zero."),
        ("{% if kind == 'nonsense' %}{{ unknown }}{% endif %}x", "Line 1: there is no unknown"),
    ],
)
def test_what_is_wrong_comes_with_its_line(template: str, said: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        check_template(template)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ severity | upper }} {{ rule }}", "WARNING Crowded longs"),
        ("{{ fired | map(attribute='symbol') | join(', ') }}x", "BTCUSDT, ETHUSDTx"),
        (
            "{% for one in fired %}{{ loop.index }} {{ one.symbol }};{% endfor %}",
            "1 BTCUSDT;2 ETHUSDT;",
        ),
        ("{{ fired | length }} of {{ resolved | length }}", "2 of 1"),
        ("{{ fired[0]['values'].score | number(2) }}", "36"),
        ("{{ fired[0]['values'].funding_rate_8h | percent(3) }}", "0.042 %"),
        ("{{ resolved[0]['values'].funding_rate_8h | number }}", "-"),
        (
            "{% for n, v in fired[0]['values'] | items %}{{ n }}={{ v }} {% endfor %}",
            "score=36.2 funding_rate_8h=0.00042",
        ),
        ("{{ 'now' if kind == 'fired' else 'over' }} {{ 1 + 2 * 3 }}", "now 7"),
        ("{{ rule ~ '!' }} <b>&amp;</b>", "Crowded longs! <b>&amp;</b>"),
        (
            "{{ fired | selectattr('symbol', 'eq', 'ETHUSDT') | map(attribute='since') | first }}",
            "2025-06-02 12:00 UTC",
        ),
    ],
)
def test_what_a_template_can_say(template: str, expected: str) -> None:
    assert preview(template) == expected


def test_the_defaults_say_what_fires_and_what_has_ended() -> None:
    assert preview(DEFAULT_TITLE, title=True) == "WARNING: Crowded longs: BTCUSDT, ETHUSDT"
    assert preview(DEFAULT_TEXT).splitlines() == [
        "Funding is high while the crowd is long.",
        "",
        "BTCUSDT SHORT since 2025-06-02 11:00 UTC, score 36.2, funding_rate_8h 0.00042",
        "ETHUSDT SHORT since 2025-06-02 12:00 UTC, score 39.8, funding_rate_8h 0.00038",
        "SOLUSDT has ended at 2025-06-02 12:00 UTC (since 2025-06-02 08:00 UTC)",
        "2025-06-02 12:00 UTC",
        "https://cryptosatx.example/alerts?rule=7",
    ]
    check_template(DEFAULT_TITLE, title=True)
    check_template(DEFAULT_TEXT)


def test_an_end_names_its_markets_and_why_where_the_condition_was_not_over() -> None:
    ended = EXAMPLE["resolved"][0]
    other = {**ended, "symbol": "ADAUSDT", "note": "the rule expired", "reason": "expired"}
    values = {**EXAMPLE, "kind": "resolved", "fired": [], "resolved": [ended, other]}
    title, text, complaint = compose(None, None, values)
    assert title == "WARNING: Crowded longs has ended for SOLUSDT, ADAUSDT"
    assert text.splitlines()[2:4] == [
        "SOLUSDT has ended at 2025-06-02 12:00 UTC (since 2025-06-02 08:00 UTC)",
        "ADAUSDT has ended at 2025-06-02 12:00 UTC (since 2025-06-02 08:00 UTC): the rule expired",
    ]
    assert complaint is None
    said = preview("{% for one in resolved %}{{ one.reason }} {{ one.note }};{% endfor %}", values)
    assert said == "resolved ;expired the rule expired;"


@pytest.mark.parametrize("kind", ["late", "repeat"])
def test_a_title_of_what_is_not_new_says_so_whatever_its_template(kind: str) -> None:
    values = {**EXAMPLE, "kind": kind}
    title, _, _ = compose(None, None, values)
    assert title == "Still firing: WARNING: Crowded longs: BTCUSDT, ETHUSDT"
    assert compose("{{ rule }}", None, values)[0] == "Still firing: Crowded longs"
    assert compose("{{ rule }}: {{ kind }}", None, values)[0] == f"Crowded longs: {kind}"
    assert compose("{{ rule }}", None, EXAMPLE)[0] == "Crowded longs"
    long = compose("{{ rule }}", None, {**values, "rule": "x" * 300})[0]
    assert long.startswith("Still firing: xxx")
    assert len(long) == LONGEST_TITLE


def test_a_text_says_why_a_firing_is_told_that_is_not_new() -> None:
    again = {**EXAMPLE["fired"][0], "note": "still firing, not told before"}
    said = preview(DEFAULT_TEXT, {**EXAMPLE, "kind": "late", "fired": [again]})
    assert "since 2025-06-02 11:00 UTC (still firing, not told before), score 36.2" in said


def test_every_variable_is_described_and_in_the_example() -> None:
    assert list(VARIABLES) == list(EXAMPLE)


def many(count: int) -> dict[str, Any]:
    one = EXAMPLE["fired"][0]
    return {**EXAMPLE, "fired": [{**one, "symbol": f"COIN{n}USDT"} for n in range(count)]}


def test_a_title_is_one_line_and_stays_short() -> None:
    title = preview("{{ rule }}\n\n{{ kind }}", title=True)
    assert title == "Crowded longs fired"
    assert len(preview(DEFAULT_TITLE, many(300), title=True)) < 200


def test_a_template_that_fails_loses_no_message() -> None:
    title, text, complaint = compose("{{ fired[7].symbol }}", "{{ 1 / 0 }}", EXAMPLE)
    assert title == "WARNING: Crowded longs: BTCUSDT, ETHUSDT"
    assert "BTCUSDT SHORT" in text
    assert complaint is not None
    assert "division by zero" in complaint


def test_a_message_about_many_symbols_is_cut_and_not_lost() -> None:
    title, text, complaint = compose(None, None, many(300))
    assert title.startswith("WARNING: Crowded longs: COIN0USDT")
    assert "COIN0USDT" in text
    assert len(text) <= LONGEST_TEXT
    assert text.endswith("the rest is not shown here.")
    assert complaint is None


def test_a_message_without_its_values_still_says_which_rule() -> None:
    title, _, complaint = compose(None, None, {"rule": "Crowded longs", "kind": "fired"})
    assert "Crowded longs" in title
    assert complaint is not None


def test_values_are_shown_as_they_are_and_never_run() -> None:
    values = {**EXAMPLE, "rule": "{{ 7 * 7 }} {% for %} <script>"}
    assert preview("{{ rule }}", values) == "{{ 7 * 7 }} {% for %} <script>"
