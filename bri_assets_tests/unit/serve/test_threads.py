"""Threads for blocking work: so many at once, so many that wait, and a place that is given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from bri_assets.errors import ServerBusy
from bri_assets.serve.threads import Threads

NAME: ContextVar[str] = ContextVar("name", default="nobody")


def test_work_knows_who_asked_and_its_errors_come_back() -> None:
    threads = Threads(1, 0)

    async def ask() -> str:
        NAME.set("somebody")
        with pytest.raises(KeyError):
            await threads.run({}.__getitem__, "missing")
        return await threads.run(NAME.get)

    assert asyncio.run(ask()) == "somebody"
    threads.close()


def test_who_is_cancelled_gives_up_its_place_but_not_a_thread_that_works() -> None:
    threads, go_on, begun = Threads(1, 1), threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        go_on.wait(60)
        return "done"

    async def ask() -> str:
        at_work = asyncio.create_task(threads.run(work))
        await _until(begun.is_set)
        waiting = asyncio.create_task(threads.run(work))
        await asyncio.sleep(0)
        with pytest.raises(ServerBusy):
            await threads.run(work)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        again = asyncio.create_task(threads.run(work))  # the place of the one that gave up
        at_work.cancel()
        await asyncio.gather(at_work, return_exceptions=True)
        with pytest.raises(ServerBusy):  # its thread still works
            await threads.run(work)
        go_on.set()
        return await again

    assert asyncio.run(ask()) == "done"
    threads.close()


def test_closing_waits_for_what_is_at_work() -> None:
    threads, begun, ended = Threads(1, 0), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        threading.Event().wait(0.2)
        ended.set()

    async def ask() -> None:
        asked = asyncio.create_task(threads.run(work))
        await _until(begun.is_set)
        asked.cancel()

    asyncio.run(ask())
    threads.close()
    assert ended.is_set()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)
