"""A signal is noticed, whoever handles it; work that takes too long is stopped, whatever it catches."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest

from bri_assets import interrupts
from bri_assets.errors import ModelFailed, StageTimeout
from bri_assets.interrupts import limited, noticed


def test_a_signal_that_somebody_else_took_is_noticed() -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with noticed() as asked_to_stop:
            assert not asked_to_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert asked_to_stop()
            assert asked_to_stop()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_signals_ask_for_nothing() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with noticed() as asked_to_stop:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not asked_to_stop()
    finally:
        signal.signal(signal.SIGUSR1, before)


def wait_for(event: threading.Event, at_most_s: float = 60.0) -> None:
    """Wait in small steps, as Python code does; a signal's handler may raise in between."""
    due = time.monotonic() + at_most_s
    while not event.is_set() and time.monotonic() < due:
        time.sleep(0.005)


def test_work_within_its_time_gives_its_result() -> None:
    assert limited(60, lambda: "done", subject="a stage", remedy="Wait.") == "done"


def test_work_that_takes_too_long_is_stopped() -> None:
    never, got_to_the_end = threading.Event(), False

    def work() -> None:
        nonlocal got_to_the_end
        wait_for(never)
        got_to_the_end = True

    with pytest.raises(StageTimeout, match=r"captions of a: took longer than 0.05 s and was stopped. Raise the limit."):
        limited(0.05, work, subject="captions of a", remedy="Raise the limit.")
    assert not got_to_the_end


def test_a_library_that_takes_every_exception_for_its_own_does_not_keep_it() -> None:
    def work() -> None:
        try:
            wait_for(threading.Event())
        except Exception as error:
            raise ModelFailed("a model", "raised.") from error

    with pytest.raises(StageTimeout):
        limited(0.05, work, subject="a stage", remedy="")


def test_work_that_swallows_it_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_AGAIN_S", 0.02)
    told = 0

    def work() -> None:
        nonlocal told
        while told < 3:
            try:
                wait_for(threading.Event())
            except BaseException:  # noqa: BLE001 - as badly behaved as a library may be
                told += 1

    with pytest.raises(StageTimeout):
        limited(0.02, work, subject="a stage", remedy="")
    assert told == 3


def test_what_work_makes_of_it_is_its_cause() -> None:
    def work() -> None:
        try:
            wait_for(threading.Event())
        except BaseException as error:
            raise ModelFailed("a model", "raised.") from error

    with pytest.raises(StageTimeout) as raised:
        limited(0.02, work, subject="a stage", remedy="")
    assert isinstance(raised.value.__cause__, ModelFailed)


def test_an_error_of_the_work_itself_stays_what_it_is() -> None:
    def work() -> None:
        raise ModelFailed("a model", "raised.")

    with pytest.raises(ModelFailed):
        limited(60, work, subject="a stage", remedy="")


def test_a_call_into_c_that_lets_signals_in_is_stopped() -> None:
    with pytest.raises(StageTimeout):
        limited(0.05, lambda: time.sleep(60), subject="a stage", remedy="")


def test_of_two_limits_the_shorter_stops() -> None:
    def inner(seconds: float) -> str:
        try:
            return limited(seconds, lambda: time.sleep(60) or "", subject="inner", remedy="")
        except StageTimeout as error:
            return error.subject

    assert limited(60, lambda: inner(0.05), subject="outer", remedy="") == "inner"
    with pytest.raises(StageTimeout, match="outer"):
        limited(0.05, lambda: inner(60), subject="outer", remedy="")


def test_a_timer_that_ran_before_keeps_its_time_and_its_handler() -> None:
    rang = threading.Event()

    def ring(_number: int, _frame: FrameType | None) -> None:
        rang.set()

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, 200, 100)
    try:
        limited(0.5, lambda: None, subject="a stage", remedy="")
        left_s, interval_s = signal.getitimer(signal.ITIMER_REAL)
        assert 100 < left_s <= 200
        assert interval_s == 100
        assert signal.getsignal(signal.SIGALRM) is ring
        assert not rang.is_set()

        signal.setitimer(signal.ITIMER_REAL, 0.05)
        limited(60, lambda: wait_for(rang), subject="a stage", remedy="")
        assert rang.is_set()
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def test_outside_of_the_main_thread_it_goes_on() -> None:
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(limited, 0.01, lambda: time.sleep(0.1) or "done", subject="a stage", remedy="")
        assert work.result() == "done"
