"""The client over real sockets: a small server on this machine that misbehaves on request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import SourceError, SourceRefused, SourceReplyWrong, SourceUnavailable
from core.market.breaker import Breaker
from core.market.budgets import Budget, Budgets
from core.market.http import Http, Limits, retry_after
from core.market.replies import Reply
from tests.listening import Server, http_answer, run, serving

PLENTY = (Budget("requests", 10_000, 60),)
QUICK = Limits(
    connect=0.5,
    read=0.3,
    total=0.5,
    first_wait=0.01,
    longest_wait=0.2,
    refused=0.2,
    open_seconds=0.2,
)
NOON = datetime(2025, 10, 10, 12, tzinfo=UTC)


def client(
    server: Server, limits: Limits = QUICK, budgets: tuple[Budget, ...] = PLENTY, **more: Any
) -> Http:
    return Http({"venue": budgets}, limits, endpoints={"venue": server.url}, **more)


def get(http: Http, path: str = "/x", **more: Any) -> Awaitable[Reply]:
    return http.get("venue", f"https://venue.example{path}", **more)


def test_a_reply_is_json_with_the_time_it_was_seen() -> None:
    async def test() -> None:
        async with (
            serving(http_answer('{"a": "1"}')) as server,
            client(server, now=lambda: NOON) as http,
        ):
            reply = await get(http, "/fapi/v1/klines", params={"limit": 2})
            assert (reply.json, reply.seen_at, reply.age_seconds) == ({"a": "1"}, NOON, 0)
            assert server.requests[0].startswith("GET /fapi/v1/klines?limit=2 ")
            state = http.state("venue")
            assert state.healthy
            assert (state.requests, state.failures, state.last_success_at) == (1, 0, NOON)
            assert state.latency_seconds is not None

    run(test)


def test_a_source_whose_clock_is_behind_decides_what_is_over() -> None:
    async def test() -> None:
        answer = http_answer(Date="Fri, 10 Oct 2025 11:59:59 GMT")
        async with serving(answer) as server, client(server, now=lambda: NOON) as http:
            assert (await get(http)).seen_at == NOON - timedelta(seconds=1)

    run(test)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"hang", "in time"),
        (b"", "broke the connection off"),
        (http_answer("oops", "500 Internal Server Error"), "500"),
        (http_answer("<html>maintenance</html>"), "whole JSON"),
        (http_answer('{"a": [1, 2'), "whole JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,", "broke the connection off"),
        (http_answer("", "302 Found", Location="http://127.0.0.1:1/"), "302"),
    ],
)
def test_a_source_that_stumbles_once_is_asked_again_and_the_stumble_is_kept(
    first: bytes, words: str
) -> None:
    async def test() -> None:
        async with serving(first, http_answer()) as server, client(server) as http:
            assert (await get(http)).json == [1]
            state = http.state("venue")
            assert (state.failures, state.healthy) == (1, True)
            assert words in state.last_failure

    run(test)


def test_nobody_listening_is_unavailable() -> None:
    async def test() -> None:
        async with Http(
            {"venue": PLENTY}, QUICK, endpoints={"venue": "http://127.0.0.1:9"}
        ) as http:
            with pytest.raises(SourceUnavailable, match="venue"):
                await get(http)
            assert not http.state("venue").healthy

    run(test)


def test_a_wrong_question_is_asked_once() -> None:
    async def test() -> None:
        answer = http_answer('{"msg": "Invalid symbol."}', "400 Bad Request")
        async with serving(answer) as server, client(server) as http:
            for _ in range(8):
                with pytest.raises(SourceReplyWrong, match="Invalid symbol"):
                    await get(http)
            assert len(server.requests) == 8
            assert http.state("venue").breaker == "closed"

    run(test)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "418 I'm a teapot"])
def test_a_source_that_says_when_to_come_back_is_not_asked_before(status: str) -> None:
    async def test() -> None:
        refusal = http_answer("{}", status, Retry_After="30")
        async with serving(refusal, http_answer()) as server, client(server) as http:
            for _ in range(3):
                with pytest.raises(SourceRefused) as caught:
                    await get(http)
                assert caught.value.retry_after == pytest.approx(30, abs=1)
            assert len(server.requests) == 1
            assert http.state("venue").left_alone_seconds == pytest.approx(30, abs=1)

    run(test)


def test_a_short_retry_after_is_waited_out() -> None:
    async def test() -> None:
        refusal = http_answer("{}", "429 Too Many Requests", Retry_After="1")
        patient = replace(QUICK, longest_wait=2)
        async with serving(refusal, http_answer()) as server, client(server, patient) as http:
            assert (await get(http)).json == [1]
            assert server.times[1] - server.times[0] >= 1

    run(test)


def test_a_refusal_without_a_time_is_left_alone_for_a_while() -> None:
    async def test() -> None:
        refusal = http_answer("{}", "403 Forbidden")
        shy = replace(QUICK, refused=5)
        async with serving(refusal) as server, client(server, shy) as http:
            for _ in range(2):
                with pytest.raises(SourceRefused):
                    await get(http)
            assert len(server.requests) == 1

    run(test)


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    assert retry_after("12", NOON) == 12
    assert retry_after("Fri, 10 Oct 2025 12:00:05 GMT", NOON) == 5
    assert retry_after("Fri, 10 Oct 2025 11:00:00 GMT", NOON) == 0
    assert retry_after("99999999999", NOON) == 3600
    assert retry_after("soon", NOON) is None
    assert retry_after("-5", NOON) is None


def test_a_source_that_keeps_failing_is_left_alone_and_tried_again() -> None:
    async def test() -> None:
        broken = http_answer("", "503 Service Unavailable")
        async with serving(broken) as server, client(server, replace(QUICK, attempts=1)) as http:
            for _ in range(9):
                with pytest.raises(SourceUnavailable):
                    await get(http)
            assert len(server.requests) == QUICK.failures_to_open
            assert http.state("venue").breaker == "open"
            server.answers[:] = [http_answer()]
            await asyncio.sleep(0.25)
            assert http.state("venue").breaker == "half-open"
            assert (await get(http)).json == [1]
            assert http.state("venue").breaker == "closed"

    run(test)


def test_a_breaker_waits_twice_as_long_after_every_failed_trial() -> None:
    breaker = Breaker(failures_to_open=1, open_seconds=5, longest_seconds=12)
    breaker.fail(now=0)
    assert breaker.seconds_left(now=0) == 5
    assert breaker.admit(now=5)
    breaker.fail(now=5)
    assert breaker.seconds_left(now=5) == 10
    assert breaker.admit(now=15)
    breaker.fail(now=15)
    assert breaker.seconds_left(now=15) == 12
    assert breaker.admit(now=27)
    breaker.give_up_trial()
    assert breaker.admit(now=27)
    breaker.succeed()
    assert breaker.phase(now=27) == "closed"


def test_a_cancelled_trial_does_not_lock_the_source_out() -> None:
    async def test() -> None:
        limits = replace(QUICK, attempts=1, failures_to_open=1, read=5, total=5)
        broken = http_answer("", "500 Oops")
        async with (
            serving(broken, b"hang", http_answer()) as server,
            client(server, limits) as http,
        ):
            with pytest.raises(SourceUnavailable):
                await get(http)
            await asyncio.sleep(0.25)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(get(http), 0.1)  # type: ignore[arg-type]
            assert (await get(http)).json == [1]

    run(test)


def test_the_budget_is_never_exceeded_in_any_window() -> None:
    async def test() -> None:
        budgets = (Budget("requests", 10, 1),)
        async with serving(http_answer()) as server, client(server, QUICK, budgets) as http:
            await asyncio.gather(*(get(http, f"/{i}") for i in range(16)))
            times = sorted(server.times)
            busiest = max(sum(start <= t < start + 1 for t in times) for start in times)
            assert len(times) == 16
            assert busiest <= 10
            assert (
                http.state("venue").budgets[0].used <= http.state("venue").budgets[0].allowed == 8
            )

    run(test)


def test_filling_in_the_past_leaves_part_of_the_budget_to_the_newest_bar() -> None:
    async def test() -> None:
        budgets = Budgets((Budget("weight", 10, 60),), share=1)
        for _ in range(6):
            await budgets.spend({"weight": 1}, background=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(budgets.spend({"weight": 1}, background=True), 0.1)
        for _ in range(4):
            await budgets.spend({"weight": 1})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(budgets.spend({"weight": 1}), 0.1)

    run(test)


def test_what_others_use_on_the_same_address_counts() -> None:
    async def test() -> None:
        budgets = (Budget("weight", 100, 60, used_header="X-MBX-USED-WEIGHT-1M"),)
        answer = http_answer(X_MBX_USED_WEIGHT_1M="57")
        async with serving(answer) as server, client(server, QUICK, budgets) as http:
            await get(http, charges={"weight": 5})
            assert http.state("venue").budgets[0].used == 57

    run(test)


def test_a_budget_that_is_used_up_for_the_day_refuses_instead_of_waiting() -> None:
    async def test() -> None:
        budget = (Budget("requests", 2, 86_400),)
        async with (
            serving(http_answer()) as server,
            client(server, replace(QUICK, budget_share=1.0), budget) as http,
        ):
            await get(http, "/1")
            await get(http, "/2")
            with pytest.raises(SourceRefused, match="The 2 requests of 86,400 s are used up"):
                await get(http, "/3")
            assert len(server.requests) == 2

    run(test)


def test_a_clock_that_is_wrong_is_remarked() -> None:
    async def test() -> None:
        early = http_answer(Date="Fri, 10 Oct 2025 09:00:00 GMT")
        async with serving(early) as server, client(server, now=lambda: NOON) as http:
            await get(http)
            state = http.state("venue")
            assert state.healthy
            assert state.remarks == {"clock": "its clock is 10,800 s behind this machine's."}

    run(test)


def test_a_charge_that_never_fits_is_an_error() -> None:
    with pytest.raises(ValueError, match="never fits"):
        asyncio.run(Budgets((Budget("weight", 10, 60),), share=0.5).spend({"weight": 6}))


def test_a_reply_that_did_not_change_is_not_sent_again() -> None:
    async def test() -> None:
        first = http_answer("[1]", ETag='"v1"')
        unchanged = http_answer("", "304 Not Modified")
        async with serving(first, unchanged) as server, client(server) as http:
            assert (await get(http)).json == [1]
            again = await get(http)
            assert again.json == [1]
            assert again.age_seconds > 0
            assert 'if-none-match: "v1"' in server.requests[1].lower()
            assert http.state("venue").cached_seconds is not None

    run(test)


def test_a_fresh_reply_is_not_asked_for_again() -> None:
    async def test() -> None:
        async with (
            serving(http_answer("[1]"), http_answer("[2]")) as server,
            client(server) as http,
        ):
            first = await get(http, fresh_seconds=60)
            assert (await get(http, fresh_seconds=60)).seen_at == first.seen_at
            assert len(server.requests) == 1
            assert (await get(http)).json == [2]

    run(test)


def test_a_reply_without_end_is_cut_off() -> None:
    async def test() -> None:
        small = replace(QUICK, megabytes=0.001)
        async with (
            serving(http_answer("[" + "1," * 5000 + "1]")) as server,
            client(server, small) as http,
        ):
            with pytest.raises(SourceReplyWrong, match=r"more than 0\.001 MB"):
                await get(http)

    run(test)


def test_an_error_in_disguise_is_an_error() -> None:
    def check(reply: Any) -> None:
        if reply["code"] != "0":
            raise SourceRefused("venue says no.", retry_after=60)

    async def test() -> None:
        async with serving(http_answer('{"code": "50011"}')) as server, client(server) as http:
            with pytest.raises(SourceError, match="says no"):
                await get(http, check=check)
            assert http.state("venue").left_alone_seconds > 50

    run(test)


def test_a_source_that_hangs_holds_up_no_other() -> None:
    async def test() -> None:
        slow_limits = replace(QUICK, read=5, total=5)
        async with serving(b"hang") as slow, serving(http_answer()) as quick:
            endpoints = {"slow": slow.url, "quick": quick.url}
            async with Http(
                {"slow": PLENTY, "quick": PLENTY}, slow_limits, endpoints=endpoints
            ) as http:
                stuck = [
                    asyncio.create_task(http.get("slow", "https://slow.example/"))
                    for _ in range(100)
                ]
                await asyncio.sleep(0.05)
                assert (await http.get("quick", "https://quick.example/")).json == [1]
                assert not any(task.done() for task in stuck)
                for task in stuck:
                    task.cancel()
                await asyncio.gather(*stuck, return_exceptions=True)

    run(test)


def test_a_key_that_comes_back_in_a_reply_is_not_repeated() -> None:
    async def test() -> None:
        refusal = http_answer('{"msg": "Invalid API key SECRET-1"}', "401 Unauthorized")
        async with serving(refusal) as server, client(server) as http:
            with pytest.raises(SourceRefused) as refused:
                await get(http, headers={"Authorization": "Bearer SECRET-1"})
            state = http.state("venue")
            assert "Invalid API key ***" in str(refused.value)
            assert "SECRET-1" not in f"{refused.value} {state}"

    run(test)


def test_a_date_that_is_none_says_nothing() -> None:
    async def test() -> None:
        odd = http_answer(Date="Wed, 01 Jan 9999999999999 00:00:30 GMT")
        async with serving(odd) as server, client(server, now=lambda: NOON) as http:
            assert (await get(http)).seen_at == NOON

    run(test)


def test_what_nobody_thought_of_is_the_source_s_failure() -> None:
    def odd(_: object) -> None:
        raise OverflowError("too large")

    async def test() -> None:
        async with serving(http_answer()) as server, client(server) as http:
            with pytest.raises(SourceReplyWrong, match=r"could not be read \(OverflowError\)"):
                await get(http, check=odd)
            assert not http.state("venue").healthy

    run(test)


def test_what_failed_is_asked_again_so_that_it_is_not_thought_ill_for_long() -> None:
    async def test() -> None:
        answers = (http_answer(status="404 Not Found"), http_answer())
        async with serving(*answers) as server, client(server) as http:
            with pytest.raises(SourceReplyWrong):
                await get(http, "/seldom")
            assert not http.state("venue").healthy
            await http.ask_failed_again()
            assert http.state("venue").healthy
            await http.ask_failed_again()
            assert len(server.requests) == 2

    run(test)
