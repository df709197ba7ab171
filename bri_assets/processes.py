"""Which processes still live: a name by which another can tell later, even after a reboot, and a pipe to one's starter.

Dagster's default launcher does not watch over runs once the server that launched them is gone, nor over runs that a
command executes itself. So a run carries the name of its process as a tag.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable

import psutil

__all__ = ["PROCESS_TAG", "is_gone", "name_of", "when_alone"]

#: The run's tag that holds the name of its process.
PROCESS_TAG = "bri/process"


def name_of(process: psutil.Process | None = None) -> str:
    """The name of a process (this one by default): host, number, and when it was started, in seconds since 1970."""
    process = process or psutil.Process()
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def is_gone(name: str) -> bool:
    """Whether the process of that name is known to have ended; one on another host never is."""
    host, pid, created = name.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" != created or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def when_alone(then: Callable[[], None]) -> None:
    """Call a function when whoever started this process, with a pipe as its standard input, is gone, however it went.

    Without a pipe nothing is ever called. What comes through the pipe is thrown away.
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return

    def wait() -> None:
        while os.read(0, 4096):
            continue
        then()

    threading.Thread(target=wait, name="when-alone", daemon=True).start()
