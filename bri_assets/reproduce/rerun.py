"""Running a recipe: the command that it prints, in a process and a home of its own, which is removed afterwards.

The home lies below the real one, in ``scratch/``, so that it needs no room on another disk. What does not belong here:
whether what came out is the same (``comparison``).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from bri_assets.errors import RerunFailed, StorageFailed
from bri_assets.files import storing
from bri_assets.processes import is_gone, name_of
from bri_assets.reproduce.machine import Machine
from bri_assets.reproduce.recipe import Recipe
from bri_assets.settings import Settings
from bri_assets.store import Store

__all__ = ["rerun"]

#: Lines of the run's output that an error repeats.
_LAST_LINES = 15


def rerun(recipe: Recipe, machine: Machine, settings: Settings, report: Callable[[str], None]) -> dict[str, Any]:
    """Run the recipe and read what it committed.

    Args:
        recipe: what is to be run.
        machine: what of it is here.
        settings: of this process; what changes no rows (the executor, the patience with a busy store) is taken over
            from its environment.
        report: is told each line that the run prints.

    Returns:
        All that was committed in the scratch home, as ``reads.video`` returns it.

    Raises:
        SourceMissing, WeightsMissing, WeightsDamaged, ModelFailed: something that the recipe needs is not here; nothing
            was run.
        RerunFailed: the run did not commit; the last lines that it printed are in the error.
        StorageFailed: the scratch home cannot be made or removed.
    """
    if machine.problems:
        raise machine.problems[0]
    with _scratch(settings.home / "scratch") as home:
        _run(recipe, machine, home, report)
        store = Store.of(settings.model_copy(update={"home": home}))
        committed = [row["video_id"] for row in store.status() if row["state"] == "committed"]
        if len(committed) != 1:
            raise RerunFailed(recipe.video_id, f"the run ended well and committed {len(committed)} videos.")
        return store.video(committed[0])


def _run(recipe: Recipe, machine: Machine, home: Path, report: Callable[[str], None]) -> None:
    environment = os.environ | machine.environment | {"BRI_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    command = [sys.executable, "-m", "bri_assets.cli", *machine.command[1:]]
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(  # noqa: S603 - our own words, and the path of a file that was ingested before
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that it can be ended with all that it started
    ) as child:
        try:
            for line in child.stdout or ():
                last.append(line.rstrip())
                report(last[-1])
        except BaseException:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)  # what it works on is removed at once: nothing to wind up
                child.wait()
            raise
    if child.returncode:
        what = f"the run of its recipe ended with exit status {child.returncode} and said: {' | '.join(last)}"
        remedy = "See `bri reproduce` (without --verify) for what differs on this machine."
        raise RerunFailed(recipe.video_id, what, remedy)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder named by this process; those of processes that ended without removing theirs are removed."""
    home = folder / name_of()
    with storing(home, 0):
        home.mkdir(parents=True, exist_ok=True)
    try:
        with _termination_as_interrupt():
            yield home
    finally:
        for old in [home, *(other for other in folder.iterdir() if _is_left(other))]:
            _remove(old)


def _is_left(folder: Path) -> bool:
    return folder.name.count(":") >= 2 and is_gone(folder.name)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return  # another process found it too
    except OSError as error:
        raise StorageFailed(folder, f"cannot be removed ({error.strerror}).", "Remove it by hand.") from error


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as Ctrl-C does, that the run is ended and its home removed."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
