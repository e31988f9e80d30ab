"""Turns: few at once, in the order they came, and nobody waits for one who waits for something else."""

from __future__ import annotations

from threading import Barrier, Event, Thread

import pytest

from core.ui.turns import Turns


class Run:
    """A thread that takes a turn and works until it is told to end."""

    def __init__(self, turns: Turns) -> None:
        self.begun, self.end = Event(), Event()
        self._turns = turns
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._turns.taken():
            self.begun.set()
            self.end.wait(20)

    def finish(self) -> None:
        self.end.set()
        self._thread.join(20)


def test_so_many_work_at_once_and_the_first_to_come_is_the_next() -> None:
    turns = Turns(at_once=2, longest=60)
    first, second = Run(turns), Run(turns)
    assert first.begun.wait(20)
    assert second.begun.wait(20)
    third = Run(turns)
    assert not third.begun.wait(0.05)
    fourth = Run(turns)
    assert not fourth.begun.wait(0.05)
    first.finish()
    assert third.begun.wait(20)
    assert not fourth.begun.is_set()
    for run in (second, third):
        run.finish()
    assert fourth.begun.wait(20)
    fourth.finish()


def test_who_takes_too_long_keeps_nobody_from_working() -> None:
    turns = Turns(at_once=1, longest=0.1)
    waits_for_something = Run(turns)
    assert waits_for_something.begun.wait(20)
    next_one = Run(turns)
    assert next_one.begun.wait(20)
    assert not waits_for_something.end.is_set()
    for run in (waits_for_something, next_one):
        run.finish()


def test_whoever_has_a_turn_may_ask_again_for_what_is_drawn_within() -> None:
    turns = Turns(at_once=1, longest=60)
    with turns.taken(), turns.taken():
        waits = Run(turns)
        assert not waits.begun.wait(0.05)
    assert waits.begun.wait(20)
    waits.finish()


def test_a_turn_ends_with_what_fails_in_it() -> None:
    turns = Turns(at_once=1, longest=60)
    with pytest.raises(ZeroDivisionError), turns.taken():
        1 / 0  # noqa: B018
    after = Run(turns)
    assert after.begun.wait(20)
    after.finish()


def test_no_turn_is_lost_among_many() -> None:
    turns, done, together = Turns(at_once=2, longest=60), [], Barrier(30)
    working: list[int] = []

    def work() -> None:
        together.wait()
        for _ in range(20):
            with turns.taken():
                working.append(1)
                done.append(len(working))
                working.pop()

    threads = [Thread(target=work) for _ in range(30)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(done) == 600
    assert max(done) <= 2
