"""Keeps the owner of the store running: starts it, starts it again when it dies, and replaces it when asked to.

The address of the API is bound here and handed on: while one owner follows another its connections wait in the queue of
the listening socket. What does not belong here: the owner itself (``owner``), and supervision across restarts of the
machine, which is the system's (systemd, a container).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bri_assets.errors import AddressUnusable

__all__ = ["listening", "supervised"]

#: Wait before the n-th start in a row after an owner that died young, in seconds; the last one is used from then on.
_WAITS_S = (0.1, 0.5, 1.0, 2.0, 5.0)

#: An owner that lived this long has started well, in seconds.
_WELL_S = 30.0

#: Connections that may wait while no owner answers.
_QUEUE = 4096


class _Supervisor:
    def __init__(self, say: Callable[[str], None], listener: socket.socket | None) -> None:
        self._say, self._listener = say, listener
        self._over = threading.Event()
        self._owner: subprocess.Popen[bytes] | None = None
        self._next: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._replacing = threading.Lock()

    def run(self) -> None:
        died_young = 0
        while not self._over.is_set():
            started = time.monotonic()
            status = self._begin().wait()
            if self._over.is_set():
                return
            if self._next is not None:
                died_young = 0
                continue
            died_young = 0 if time.monotonic() - started > _WELL_S else died_young + 1
            wait_s = _WAITS_S[min(died_young, len(_WAITS_S) - 1)]
            self._say(f"the owner of the store ended with status {status}; it is started again in {wait_s:g} s")
            self._over.wait(wait_s)

    def replace(self) -> None:
        """Have a new owner follow the one that is there; the old one goes on where the new one cannot start."""
        with self._replacing:
            ready, told = os.pipe()
            try:
                new = self._start("--ready", str(told), hand_on=[told])
            finally:
                os.close(told)
            with os.fdopen(ready, "rb") as pipe:
                if not pipe.read(1):
                    self._say(f"a new owner of the store cannot start (status {new.wait()}); the old one goes on")
                    return
            with self._lock:
                old, self._next = self._owner, new
                over = self._over.is_set()
            if over:
                new.terminate()
                new.wait()
            elif old is not None:
                old.terminate()

    def stop(self) -> None:
        with self._lock:
            self._over.set()
            owners = [owner for owner in (self._owner, self._next) if owner is not None]
        for owner in owners:
            owner.terminate()
        for owner in owners:
            owner.wait()

    def _begin(self) -> subprocess.Popen[bytes]:
        """The next owner: one that waits for its turn, or else a new one."""
        with self._lock:
            new, self._next = self._next, None
            if new is not None and new.poll() is None:
                _turn(new)
                self._owner = new
            else:
                self._owner = self._start()
            if self._over.is_set():
                self._owner.terminate()
            return self._owner

    def _start(self, *arguments: str, hand_on: list[int] | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "bri_assets.serve.owner", *arguments]
        handed = list(hand_on or ())
        if self._listener is not None:
            command += ["--listener", str(self._listener.fileno())]
            handed.append(self._listener.fileno())
        # The pipe closes when this process dies, however it dies, and then the owner stops too.
        return subprocess.Popen(  # noqa: S603 - our own words
            command, stdin=subprocess.PIPE, start_new_session=True, pass_fds=handed
        )


def _turn(owner: subprocess.Popen[bytes]) -> None:
    if owner.stdin is None:
        raise AssertionError("a pipe was asked for")
    owner.stdin.write(b".")
    owner.stdin.flush()


@contextmanager
def supervised(say: Callable[[str], None], listener: socket.socket | None = None) -> Iterator[Callable[[], None]]:
    """Have an owner of the store for the time of the block.

    Args:
        say: is told, as a sentence, when an owner ended unasked and is started again.
        listener: where the owner answers the API; None: it owns the store and nothing else.

    Yields:
        A function that replaces the owner by a new one, and returns once the old one was told to stop.
    """
    supervisor = _Supervisor(say, listener)
    thread = threading.Thread(target=supervisor.run, name="supervisor")
    thread.start()
    try:
        yield supervisor.replace
    finally:
        supervisor.stop()
        thread.join()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, for the time of the block.

    Args:
        host: a name or address of this machine.
        port: 0 for any that is free.

    Raises:
        AddressUnusable: it is taken, or none of this machine's.
    """
    address = f"{host} port {port}"
    try:
        kind, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(kind, socket.SOCK_STREAM)
    except OSError as error:
        raise _unusable(address, error) from error
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(_QUEUE)
        except OSError as error:
            raise _unusable(address, error) from error
        yield listener


def _unusable(address: str, error: OSError) -> AddressUnusable:
    what = f"the server cannot listen there: {error.strerror}."
    return AddressUnusable(
        address, what, "Does another server run there? Name another (BRI_SERVE_HOST, BRI_SERVE_PORT)."
    )
