"""Processes that are killed with SIGKILL: at a named point of the package's code, or at any moment from outside.

A named point is a real function of the package, before or after its n-th call, wrapped in the process that is to die;
the package knows nothing of it. Processes are forked from one that has imported everything already. What does not
belong here: what the processes do (``work``) and what must hold afterwards (``invariants``).
"""

from __future__ import annotations

import functools
import importlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from bri_assets.errors import BriError

__all__ = ["KILLED", "Died", "Point", "Worker", "arm", "exists"]

#: Exit status of a process that was killed, as Python gives it.
KILLED = -signal.SIGKILL

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["bri_assets_tests.faults.warm"])


@dataclass(frozen=True)
class Point:
    """A place in the package's code at which a process dies.

    Args:
        name: what it means, for the table.
        target: the function where its caller looks it up: ``package.module:name`` or ``package.module:Class.name``.
        when: before or after it is called.
        call: on which of its calls, from 1.
    """

    name: str
    target: str
    when: Literal["before", "after"] = "after"
    call: int = 1


def arm(point: Point, then: Callable[[], object] | None = None) -> None:
    """Let this process die at a point, or do something else there."""
    holder, name = _place(point.target)
    real = getattr(holder, name)
    calls = itertools.count(1)
    fate = then or _die

    @functools.wraps(real)
    def deadly(*arguments: Any, **named: Any) -> Any:
        fatal = next(calls) == point.call
        if fatal and point.when == "before":
            fate()
        found = real(*arguments, **named)
        if fatal and point.when == "after":
            fate()
        return found

    setattr(holder, name, deadly)


def exists(point: Point) -> bool:
    """Whether its function is there."""
    module, _, path = point.target.partition(":")
    holder: Any = importlib.import_module(module)
    for name in path.split("."):
        holder = getattr(holder, name, None)
    return callable(holder)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # a signal to oneself may take a moment where there are several threads


def _place(target: str) -> tuple[Any, str]:
    """The object that holds a function, and the function's name in it."""
    module, _, path = target.partition(":")
    holder: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        found = getattr(holder, parent)
        if isinstance(found, ModuleType) and not found.__name__.startswith("bri_assets"):
            # Only the package's own view of a foreign module is changed.
            view = ModuleType(found.__name__)
            view.__dict__.update(found.__dict__)
            setattr(holder, parent, view)
            found = view
        holder = found
    return holder, name


class Died(Exception):
    """A process of the suite ended in another way than it should have."""


class Worker:
    """A forked process that does some work.

    Args:
        log: where its output goes.
        work: a function of a module; it is called with a function by which it says that it is ready, and what for,
            and with the arguments.
        *arguments: of the work.
        **named: of the work.

    The result of the work can be had once; errors of ours are results too.
    """

    def __init__(self, log: Path, work: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        self._log = log
        self._heard, said = _forking.Pipe(duplex=False)
        self._process = _forking.Process(target=_run, args=(log, said, work, arguments, named))
        self._process.start()
        said.close()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    def ready(self, seconds: float = 60.0) -> Any:
        """What the work said that it is ready for, once it did.

        Raises:
            Died: it ended without.
        """
        told = self._hear(seconds)
        if told is None or told[0] != "ready":
            raise Died(f"was never ready: {told} {self.said()}")
        return told[1]

    def result(self, seconds: float = 120.0) -> Any:
        """What the work returned.

        Raises:
            BriError: what it raised.
            Died: it ended without a result.
        """
        told = self._hear(seconds)
        while told is not None and told[0] == "ready":
            told = self._hear(seconds)
        status = self.wait(seconds)
        if told is None:
            raise Died(f"ended with status {status}: {self.said()}")
        if isinstance(told[1], BriError):
            raise told[1]
        return told[1]

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself within so many seconds."""
        self._process.join(seconds)
        return not self.alive

    def kill(self) -> bool:
        """Kill it with SIGKILL; returns whether it was killed by that, and had not ended before."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait() == KILLED

    def terminate(self) -> int:
        """Ask it to end; returns its exit status."""
        self._process.terminate()
        return self.wait()

    def wait(self, seconds: float = 60.0) -> int:
        """Its exit status, once it has ended.

        Raises:
            Died: it does not end.
        """
        self._process.join(seconds)
        status = self._process.exitcode
        if status is None:
            self._process.kill()
            self._process.join()
            raise Died(f"did not end within {seconds:g} s: {self.said()}")
        return status

    def said(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _hear(self, seconds: float) -> tuple[str, Any] | None:
        try:
            if not self._heard.poll(seconds):
                self.kill()
                raise Died(f"said nothing for {seconds:g} s: {self.said()}")
            told: tuple[str, Any] = self._heard.recv()
        except EOFError:
            return None
        return told


def _run(log: Path, said: Any, work: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    """The life of a forked process."""
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, standard in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, standard)
    try:
        found = work(lambda what=None: said.send(("ready", what)), *arguments, **named)
    except BriError as error:
        found = error
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    said.send(("result", found))
