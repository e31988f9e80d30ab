"""Rules as YAML, unit tests of rules, and the commands that read both."""

from __future__ import annotations

import math
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from alert_strategies import definitions
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from core import __main__ as cli
from core.alerts.definition import RuleDefinition, parse_definition
from core.alerts.rule_files import (
    MOST_MEGABYTES,
    FileRefused,
    Here,
    dump_rules,
    load_rules,
    parse_document,
    read_rules,
)
from core.alerts.rule_tests import Report, run_tests
from core.alerts.series import parse_series
from core.alerts.texts import writable
from core.store import claim_market
from tests.channelled import add_channel

ROOT = Path(__file__).parent.parent
RULES = """\
rules:
  - name: Hot
    expression: score > 60
    for: 2h
    active_hours: {weekdays: [mon, fri], start: 22:00, end: 06:00}
    expires_at: 2026-01-01T00:00:00Z
  - name: Cold
    expression: score < 40
    severity: info
"""


def test_a_file_holds_several_rules() -> None:
    hot, cold = load_rules(RULES)
    assert (hot.name, cold.name) == ("Hot", "Cold")
    assert hot.active_hours is not None
    assert hot.active_hours.start == 22 * 60
    assert hot.expires_at is not None
    assert hot.expires_at.isoformat() == "2026-01-01T00:00:00+00:00"


# As definitions hold them.
texts = st.text(st.characters(codec="utf-8"), max_size=60).map(writable)


@settings(max_examples=100, deadline=None)
@given(
    definitions(),
    st.sampled_from(["Hot", "no", "1e3", "12:30", "null", "- x: y", "# a", "Hoß €", "~", "'"]),
    texts,
)
def test_what_is_written_is_read_as_the_same(rule: RuleDefinition, name: str, body: str) -> None:
    changed: dict[str, Any] = {"name": name, "body": body or None, "description": body}
    one = rule.model_copy(update=changed)
    other = rule.model_copy(update={"name": "Other", "symbols": ("BTCUSDT",), "channels": (4,)})
    assert load_rules(dump_rules([one, other])) == [one, other]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RULES.replace("for: 2h", "for: two hours"), "line 4, rule 'Hot', for: 'two hours' is no"),
        (RULES.replace("score > 60", "scor > 60"), "line 3, rule 'Hot', expression: at character"),
        (RULES.replace("start: 22:00", "start: 8"), None),
        *(
            (
                RULES.replace("2026-01-01T00:00:00Z", moment),
                "line 6, rule 'Hot', expires_at: '",
            )
            for moment in ("9999-12-31T23:59:59-01:00", "'9999-12-31T23:59:59-01:00'")
        ),
        (RULES.replace("[mon, fri]", "[mo]"), "line 5, rule 'Hot', active_hours.weekdays: 'mo' is"),
        (RULES.replace("severity: info", "severty: info"), "line 9, rule 'Cold', severty: is no"),
        (RULES.replace("name: Cold", "name: Hot"), "line 7, rule 'Hot': this name stands twice"),
        (RULES + "    severity: warning\n", "line 10: severity stands twice"),
        (RULES.replace("  - name: Cold", "  - &x\n    name: *y"), "my.yaml, line 8: references"),
        (RULES.replace("  - name: Cold", "  - name: [Cold"), "is no YAML"),
        (RULES + "more: 1\n", "line 10: more is not known here"),
        ("rules: 5", "line 1: rules must be a list of rules"),
        ("rules: [5]", "line 1, rule 1: must be a rule with name: and expression:"),
        ("", "line 1: must begin with rules:"),
        ("rules: !!python/object/apply:os.system ['true']", "is no YAML"),
        ("a: \x00", "is no YAML"),
        (
            "[" * 900_000,
            "my.yaml, line 1: lists and mappings stand in each other more than 20 deep",
        ),
        ("rules:\n" + "- x\n" * 1001, "line 1: a file has 1,000 rules at most; here are 1,001"),
        ("[" + "a," * 300_000 + "]", "line 1: there are more than 300,000 values up to here"),
        *(
            (f"- x\n- {number}", "my.yaml, line 2: this number is too long")
            for number in (
                ":".join(["59"] * 60),
                f"!!int '{': '.join(['59'] * 60)}'",
                2 * 10**19,
                "0x20000000000000000",
                f"0b{'1' * 64}",
            )
        ),
        ("a: " + "[" * 5000 + "]" * 5000, "more than 20 deep"),
        ("rules: 2025-99-99", "is no YAML that can be read"),
        ("#" * 10_000_001, "larger than 10 MB"),
    ],
)
def test_a_fault_names_file_line_rule_and_field(text: str, says: str | None) -> None:
    if says is None:
        # A whole number is the minutes since midnight: what YAML makes of 22:00.
        assert load_rules(text)
        return
    with pytest.raises(FileRefused) as refused:
        load_rules(text, "my.yaml")
    said = str(refused.value)
    assert said.startswith(says if says.startswith("my.yaml") else "my.yaml, line ")
    assert says in said


def test_what_is_called_or_says_a_dash_is_written_out() -> None:
    dash = RuleDefinition(name="-", expression="-")
    said = dump_rules([dash])
    assert said == "rules:\n- name: '-'\n  expression: '-'\n"
    named = dash.model_copy(update={"expression": "score > 60"})
    assert load_rules(dump_rules([named])) == [named]


def test_what_500_of_the_largest_rules_say_can_be_read() -> None:
    longest = RuleDefinition(
        name="x" * 90, expression=" or ".join(["score > 60"] * 60), title="t" * 200,
        description="d: 'x'\n" * 250, body="{{ rule }}\n" * 360,
        symbols=tuple(f"S{number:04d}USDT" for number in range(500)),
    )  # fmt: skip
    one = dump_rules([longest])
    text = one + one.removeprefix("rules:\n") * 499
    document = parse_document(text, "rules.yaml")
    assert len(document.body["rules"]) == 500
    assert parse_definition(document.body["rules"][499]) == longest
    served = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert served["server"]["maxUploadSize"] == MOST_MEGABYTES


@pytest.mark.parametrize(
    "text", ["\x85", "a\u2028b", "\u2029", "\r\n", "  x", "a\n\n b\n", "\ufeff", "😀"]
)
def test_no_character_is_lost_in_a_file(text: str) -> None:
    rule = parse_definition({"name": "Hot", "expression": "score > 60", "description": text})
    assert load_rules(dump_rules([rule])) == [rule]


def test_all_faults_are_told_at_once() -> None:
    text = RULES.replace("for: 2h", "for: x").replace("severity: info", "severity: high")
    with pytest.raises(FileRefused) as refused:
        load_rules(text)
    assert [(fault.line, fault.where) for fault in refused.value.faults] == [
        (4, "rule 'Hot', for"),
        (9, "rule 'Cold', severity"),
    ]


ASKING = """\
rules:
  - name: Hot
    expression: score > 60
    channels: [Desk, 5]
"""


def test_channels_are_read_by_name_or_by_id() -> None:
    (rule,) = read_rules(ASKING, here=Here({9: "desk", 5: "ops"})).rules
    assert rule.channels == (5, 9)
    # Nobody can look: ids stay, names are left out.
    assert load_rules(ASKING)[0].channels == (5,)


@pytest.mark.parametrize(
    ("asked", "channels", "says"),
    [
        ("[dsk]", {3: "desk"}, "no shared channel 'dsk' here; did you mean 'desk'? There are 'd"),
        (
            "[night]",
            {3: "desk", 4: "ops"},
            "there are 'desk', 'ops': write one of these, make it on",
        ),
        ("[7]", {3: "desk"}, "there is no shared channel 7 here; there are 'desk'"),
        ("['3']", {3: "desk"}, "there is no shared channel '3' here"),
        ("[desk]", {3: "desk", 4: "Desk"}, "2 shared channels are called 'desk'; rename one"),
        ("[[desk]]", {3: "desk"}, "a channel is written by its name"),
        ("desk", {3: "desk"}, "must be a list"),
    ],
)
def test_a_channel_that_is_not_here_is_refused_with_those_that_are(
    asked: str, channels: dict[int, str], says: str
) -> None:
    with pytest.raises(FileRefused) as refused:
        read_rules(ASKING.replace("[Desk, 5]", asked), "my.yaml", Here(channels))
    (fault,) = refused.value.faults
    assert str(fault).startswith("my.yaml, line 4, rule 'Hot', channels: ")
    assert says in str(fault)


def test_a_market_that_is_not_here_is_a_warning_with_its_line() -> None:
    text = dedent(
        """\
        rules:
        - name: x
          expression: >-
            symbol == "BTCUSD" and score > 60 or symbol not in ("ETHUSDT", "XRP")
          symbols:
          - ETHUSDT
          - btcusd
        """
    )
    markets = {"BTCUSDT", "ETHUSDT"}
    found = read_rules(text, "my.yaml", Here(markets=markets))
    assert list(map(str, found.warnings)) == [
        "my.yaml, line 3, rule 'x', expression: warning: at character 11: No market BTCUSD is known "
        'here. Did you mean "BTCUSDT"?',
        "my.yaml, line 3, rule 'x', expression: warning: at character 64: No market XRP is known here. "
        "Write the symbol of one that is.",
        "my.yaml, line 7, rule 'x', symbols: warning: no market BTCUSD is known here; did you mean "
        "BTCUSDT?",
    ]
    assert found.rules[0].symbols == ("BTCUSD", "ETHUSDT")
    assert read_rules(text).warnings == []


def test_what_is_odd_about_a_rule_is_a_warning_with_its_line() -> None:
    text = RULES.replace("score > 60", "coverage > 60").replace("severity: info", "severity: no")
    with pytest.raises(FileRefused) as refused:
        read_rules(text)
    (warning,) = refused.value.warnings
    assert str(warning) == (
        "rules.yaml, line 3, rule 'Hot', expression: warning: at character 1: coverage is 0 to 1, so "
        "this never holds. Did you mean 0.6?"
    )
    assert read_rules(text.replace("severity: no", "severity: info")).warnings == [warning]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 -2.5 3e-4", [1, -2.5, 3e-4]),
        ("0.5x3", [0.5] * 4),
        ("-1+0.1x3", [-1, -0.9, -0.8, -0.7]),
        ("1-1x2", [1, 0, -1]),
        ("_ 1 _x2", [None, 1, None, None]),
        ("", []),
    ],
)
def test_series_are_written_as_in_promtool(text: str, values: list[float | None]) -> None:
    found = [None if isinstance(v, float) and math.isnan(v) else v for v in parse_series(text)]
    assert found == values


@pytest.mark.parametrize("text", ["x3", "1x", "a", "1+x2", "__", "1x99999999", "_x20000", "1x2x3"])
def test_a_series_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="series"):
        parse_series(text)


TESTS = """\
rules_file: rules.yaml
tests:
  - name: fires after two hours, and a gap does not count
    start: 2025-09-01T00:00Z
    series:
      BTCUSDT: {score: 50 70x3 50}
      ETHUSDT: {score: 50 70 _ 70x2}
      SOLUSDT:
        score: 50
    expect:
      - {at: 1h, rule: Hot, pending: [BTCUSDT, ETHUSDT], firing: []}
      - {at: 2h, rule: Hot, no_data: [ETHUSDT, SOLUSDT]}
      - {at: 3h, rule: Hot, firing: []}
    expressions:
      - at: 3h
        expression: 'change(score, "2h") > 10'
        holds: [ETHUSDT]
        unknown: [SOLUSDT]
"""
ANY_TIME = RULES.replace("    active_hours: {weekdays: [mon, fri], start: 22:00, end: 06:00}\n", "")


def run(text: str, rules: str = ANY_TIME) -> Report:
    def read(name: str) -> str:
        if name != "rules.yaml":
            raise FileNotFoundError(2, "No such file or directory", name)
        return rules

    return run_tests(text, "tests.yaml", read)


def test_what_is_expected_is_compared_with_what_the_machine_does() -> None:
    tested = run(TESTS)
    assert [str(failure) for failure in tested.failures] == [
        "tests.yaml, line 13, test 'fires after two hours, and a gap does not count': rule 'Hot', "
        "firing at 3h: expected none, got BTCUSDT",
        "tests.yaml, line 15, test 'fires after two hours, and a gap does not count': "
        'change(score, "2h") > 10, holds at 3h: expected ETHUSDT, got none',
    ]
    right = TESTS.replace("at: 3h, rule: Hot, firing: []", "at: 3h, rule: Hot, firing: [BTCUSDT]")
    right = right.replace("holds: [ETHUSDT]", "holds: []")
    assert run(right) == Report(("fires after two hours, and a gap does not count",), 6, ())


def test_a_series_of_many_whole_numbers_is_no_long_number() -> None:
    text = (
        "rules: [{name: Hot, expression: score > 60}]\n"
        f"tests:\n- start: 2025-09-01 00:00:00.000000 +00:00\n"
        f"  series: {{BTCUSDT: {{score: {' '.join(['70'] * 99)}}}}}\n"
        "  expect: [{at: 98h, rule: Hot, firing: [BTCUSDT]}]\n"
    )
    assert run(text).failures == ()


def test_rules_may_stand_in_the_file_and_words_in_a_series() -> None:
    text = dedent(
        """\
        rules:
          - {name: Long, expression: 'direction == "LONG"'}
        interval: 15m
        tests:
          - series: {BTCUSDT: {direction: SHORT LONGx1 _}}
            expect:
              - {at: 0, rule: Long, firing: []}
              - {at: 15m, rule: Long, firing: [BTCUSDT]}
              - {at: 45m, rule: Long, firing: [BTCUSDT], no_data: [BTCUSDT]}
        """
    )
    assert run(text) == Report(("test 1",), 4, ())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rules_file: rules.yaml", "rules_file: none.yaml", "line 1: none.yaml cannot be read"),
        ("tests:", "testz:", "line 2: testz is not known here"),
        ("2025-09-01T00:00Z", "yesterday", "line 4: start: 'yesterday' is no moment"),
        (
            "2025-09-01T00:00Z",
            "'9999-12-31T23:00:00-05:00'",
            "line 4: start: '9999-12-31T23:00:00-05:00' is in UTC outside of the years 1 to 9999",
        ),
        (
            "2025-09-01T00:00Z",
            "2300-01-01T00:00:00Z",
            "line 4: start: must lie in the years 1970 to",
        ),
        (
            "2025-09-01T00:00Z",
            "'0001-01-01T00:00:00Z'",
            "line 4: start: must lie in the years 1970",
        ),
        (
            "tests:",
            "rules: [{name: hot, expression: score > 1}]\ntests:",
            "line 2: there is a rule 'hot' in rules.yaml as well: leave one of them out",
        ),
        ("ETHUSDT: {", "btcusdt: {", "line 7: btcusdt is BTCUSDT again: write its columns there"),
        ("score: 50 70x3 50", "score: 50 70y3", "line 6: BTCUSDT, score: '70y3' is no piece"),
        ("{at: 1h, rule: Hot", "{at: 1h, rule: Warm", "line 11: there is no rule 'Warm'; there is"),
        (
            "{at: 2h, rule: Hot",
            "{at: 9h, rule: Hot",
            "line 12: at must be a bar: a multiple of 1h up",
        ),
        ("{at: 2h, rule: Hot", "{at: 90m, rule: Hot", "line 12: at must be a bar"),
        ("firing: []}\n      - {at: 2h", "fires: []}\n      - {at: 2h", "fires is not known here"),
        ("firing: []}\n    expr", "firing: BTCUSDT}\n    expr", "firing must be a list of symbols"),
        ("(score,", "(scor,", "line 16: "),
        (
            "        holds: [ETHUSDT]\n        unknown: [SOLUSDT]\n",
            "",
            "line 15: say what is expected",
        ),
        ("    expect:", "    expects:", "line 10: expects is not known here"),
        (
            "score: 50 70x3 50",
            "score: 50 LONG",
            "line 6: BTCUSDT, score: LONG is none of its values",
        ),
        (
            "score: 50 70x3 50",
            "verdict: CONFIRN",
            "CONFIRN is none of its values: its words are CONFIRM,",
        ),
        (
            "score: 50 70x3 50",
            "scor: 50",
            "BTCUSDT, scor: is no column of a frame; did you mean score",
        ),
        (
            "score: 50 70x3 50",
            "funding_rate: 50",
            "line 6: BTCUSDT, funding_rate: a frame calls it factor_funding_rate",
        ),
    ],
)
def test_a_test_file_with_faults_says_the_line(old: str, new: str, says: str) -> None:
    assert old in TESTS
    with pytest.raises(FileRefused) as refused:
        run(TESTS.replace(old, new))
    assert says in str(refused.value)


@pytest.mark.parametrize("interval", ["2h", "4h", "1d", "90m", "45m", "7m"])
def test_bars_that_no_rule_is_judged_on_are_refused_with_those_that_it_is(interval: str) -> None:
    said = (
        f"interval: bars cannot be {'1h30m' if interval == '90m' else interval} apart: an hour must"
    )
    with pytest.raises(FileRefused, match=f"line 2: {said} be a multiple .* 30m, 20m, 15m"):
        run(TESTS.replace("tests:", f"interval: {interval}\ntests:"))
    with pytest.raises(FileRefused, match=f"line 4: {said}"):
        run(TESTS.replace("    start:", f"    interval: {interval}\n    start:"))


@pytest.mark.parametrize("interval", ["1h", "20m", "5m", "1m", "1s"])
def test_every_part_of_an_hour_may_lie_between_bars(interval: str) -> None:
    text = (
        "rules: [{name: Hot, expression: score > 60}]\n"
        f"interval: {interval}\n"
        "tests:\n- series: {BTCUSDT: {score: 50 70x3}}\n"
        f"  expect: [{{at: {interval}, rule: Hot, firing: [BTCUSDT], no_data: []}}]\n"
        f"  expressions: [{{at: {interval}, expression: score > 60, holds: [BTCUSDT]}}]\n"
    )
    assert run(text).failures == ()
    with pytest.raises(FileRefused) as refused:
        run(text.replace(interval, "2h"))
    assert len(refused.value.faults) == 1, "what depends on the interval is not wrong because of it"


@pytest.mark.parametrize("empty", ["''", "", "~"])
def test_series_without_a_value_are_refused(empty: str) -> None:
    text = (
        "rules: [{name: Hot, expression: score > 60}]\n"
        f"tests:\n- series: {{BTCUSDT: {{score: {empty}}}}}\n"
        "  expect: [{at: 0, rule: Hot, firing: []}]\n"
    )
    with pytest.raises(FileRefused, match="line 3: series have no values"):
        run_tests(text, "tests.yaml", str)


def test_faults_of_the_rules_file_are_named_as_its_own() -> None:
    with pytest.raises(FileRefused, match=r"rules\.yaml, line 4, rule 'Hot', for"):
        run(TESTS, ANY_TIME.replace("for: 2h", "for: x"))


@pytest.fixture
def core(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Any]:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("CRYPTOSATX_MARKET", "auto")
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path / "data"))

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["core", "alerts", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return call


def test_the_command_says_what_failed_and_exits_with_1(
    core: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(ANY_TIME)
    tests = tmp_path / "tests.yaml"
    tests.write_text(TESTS)
    code, said = core("test", tests)
    assert code == 1
    assert f"{tests}, line 13" in said
    assert "1 tests, 6 checks, 1 failed." in said
    tests.write_text(
        TESTS.replace("[ETHUSDT]\n        un", "[]\n        un").replace(
            "firing: []}\n    e", "firing: [BTCUSDT]}\n    e"
        )
    )
    assert core("test", tests) == (0, f"{tests}: 1 tests, 6 checks, all passed.\n")
    tests.write_text("tests: 5")
    code, said = core("test", tests)
    assert (code, said) == (1, f"{tests}, line 1: tests must be a list of tests\n")


def test_the_command_checks_rules(core: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    assert core("check", file) == (0, f"{file}: 2 rules, all right.\n")
    file.write_text(RULES.replace("severity: info", "title: '{{ rul }}'\n    profile_name: brave"))
    code, said = core("check", file)
    assert code == 1
    assert said.splitlines() == [
        f"{file}, line 9, rule 'Cold', title: Line 1: there is no rul; did you mean rule?",
        f"{file}, line 10, rule 'Cold', profile_name: must be conservative, balanced, aggressive",
    ]
    file.write_text(RULES.replace("score > 60", "score >"))
    code, said = core("check", file)
    assert code == 1
    assert f"{file}, line 3, rule 'Hot', expression:" in said
    code, said = core("check", tmp_path / "none.yaml")
    assert (code, "cannot be read" in said) == (1, True)
    file.write_bytes(b"\xff\xfe\x00")
    code, said = core("check", file)
    assert (code, "no text in UTF-8" in said) == (1, True)


def test_a_warning_ends_the_command_with_1_only_where_that_is_asked_for(
    core: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES.replace("score > 60", "score > 120"))
    code, said = core("check", file)
    assert code == 0
    assert f"{file}, line 3, rule 'Hot', expression: warning: at character 1: score is 0" in said
    assert said.endswith(f"{file}: 2 rules, 1 warning.\n")
    assert core("check", "--strict", file) == (1, said)


def test_channels_are_looked_up_where_something_is_stored(
    core: Callable[..., Any], tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(ASKING.replace(", 5", ""))
    code, said = core("check", file)
    assert code == 0
    assert "Whether the channels exist could not be looked up: nothing is stored yet here." in said
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    with engine.begin() as conn:
        claim_market(conn, "demo")
    code, said = core("check", file)
    assert (code, "there is no shared channel 'Desk' here; make it on the" in said) == (1, True)
    add_channel(engine, owner="ada", name="desk")
    assert core("check", file)[0] == 1
    add_channel(engine, name="desk")
    assert core("check", file) == (0, f"{file}: 1 rules, all right.\n")


def test_rules_go_from_one_installation_to_another_with_their_channels(
    engine: Engine, sqlite_engine: Engine
) -> None:
    here = {add_channel(engine, name=name): name for name in ("desk", "7", "night desk")}
    add_channel(sqlite_engine, name="other")
    there = {add_channel(sqlite_engine, name=name): name for name in ("Night Desk", "desk", "7")}
    assert set(here.items()).isdisjoint(there.items())
    rules = [
        RuleDefinition(name="Hot", expression="score > 60", channels=tuple(here)),
        RuleDefinition(name="Calm", expression="score < 60", channels=(min(here),), for_="2h"),
        RuleDefinition(name="Quiet", expression="score == 60"),
    ]
    read = read_rules(dump_rules(rules, here), here=Here(there)).rules
    for before, after in zip(rules, read, strict=True):
        assert before.body_without("channels") == after.body_without("channels")
        names = sorted(here[one] for one in before.channels)
        assert names == sorted(there[one].lower() for one in after.channels)
    assert read_rules(dump_rules(read, there), here=Here(here)).rules == rules


def test_an_exported_definition_is_imported_as_the_same() -> None:
    hot = load_rules(RULES)[0]
    assert parse_definition(hot.model_dump(mode="json", by_alias=True)) == hot
