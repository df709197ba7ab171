"""Keeps the owner of the store running: starts it, and starts it again when it dies.

What does not belong here: the owner itself (``owner``), and supervision across restarts of the machine, which is the
system's (systemd, a container).
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["supervised"]

#: Wait before the n-th start in a row after an owner that died young, in seconds; the last one is used from then on.
_WAITS_S = (0.1, 0.5, 1.0, 2.0, 5.0)

#: An owner that lived this long has started well, in seconds.
_WELL_S = 30.0


class _Supervisor:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._over = threading.Event()
        self._owner: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def run(self) -> None:
        died_young = 0
        while not self._over.is_set():
            started = time.monotonic()
            status = self._start().wait()
            if self._over.is_set():
                return
            died_young = 0 if time.monotonic() - started > _WELL_S else died_young + 1
            wait_s = _WAITS_S[min(died_young, len(_WAITS_S) - 1)]
            self._say(f"the owner of the store ended with status {status}; it is started again in {wait_s:g} s")
            self._over.wait(wait_s)

    def stop(self) -> None:
        with self._lock:
            self._over.set()
            owner = self._owner
        if owner is not None:
            owner.terminate()
            owner.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            # The pipe closes when this process dies, however it dies, and then the owner stops too.
            command = [sys.executable, "-m", "bri_assets.serve.owner"]
            self._owner = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 - our own words
            if self._over.is_set():
                self._owner.terminate()
            return self._owner


@contextmanager
def supervised(say: Callable[[str], None]) -> Iterator[None]:
    """Have an owner of the store for the time of the block.

    Args:
        say: is told, as a sentence, when an owner ended unasked and is started again.
    """
    supervisor = _Supervisor(say)
    thread = threading.Thread(target=supervisor.run, name="supervisor")
    thread.start()
    try:
        yield
    finally:
        supervisor.stop()
        thread.join()
