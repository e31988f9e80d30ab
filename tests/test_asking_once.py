"""However many probes come, a database is asked one question at a time."""

from __future__ import annotations

import asyncio
import threading

from core.ui.asking_once import AskedOnce


def test_all_who_ask_at_a_time_share_one_question() -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(threading.get_ident())
        return len(asked)

    async def many() -> list[int]:
        once = AskedOnce(ask, lambda: -1, every=3600)
        first = await asyncio.gather(*(once.read() for _ in range(50)))
        return [*first, await once.read()]

    assert asyncio.run(many()) == [1] * 51
    assert len(asked) == 1
    assert asked[0] != threading.get_ident()


def test_what_is_old_is_asked_anew_and_a_failure_is_no_answer_for_ever() -> None:
    answers = iter([OSError("away"), 2, 3])

    def ask() -> int:
        found = next(answers)
        if isinstance(found, OSError):
            raise found
        return found

    async def three() -> list[object]:
        once = AskedOnce(ask, lambda: -1, every=0)
        return [await asyncio.gather(once.read(), return_exceptions=True) for _ in range(3)]

    first, *rest = asyncio.run(three())
    assert isinstance(first[0], OSError)
    assert rest == [[2], [3]]


def test_a_question_that_hangs_keeps_nobody_and_is_not_asked_again() -> None:
    asked, go_on = [], threading.Event()

    def ask() -> int:
        asked.append(1)
        go_on.wait(30)
        return 7

    async def impatient() -> tuple[list[int], int]:
        once = AskedOnce(ask, lambda: -1, every=0, patience=0.01)
        late = [await once.read() for _ in range(3)]
        go_on.set()
        while (found := await once.read()) == -1:
            pass
        return late, found

    late, found = asyncio.run(impatient())
    assert late == [-1] * 3
    assert found == 7
