"""A signal is noticed, whoever handles it."""

from __future__ import annotations

import os
import signal

from bri_assets.interrupts import noticed


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
