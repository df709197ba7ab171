"""Stages in processes of their own, for tests of telemetry, which is set up once a process.

``python -m bri_assets_tests.unit.telemetry.work MODE``; settings come from the environment.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from bri_assets import telemetry
from bri_assets.errors import ModelFailed, RowsInvalid
from bri_assets.settings import Settings

RUN = "12345678-1234-5678-1234-567812345678"
SECRET = "the caption that nobody may read in a log"


def done(name: str = "frames", rows: int = 3, attempt: int = 0) -> None:
    """A stage that ends well."""
    with telemetry.stage(Settings(), name, video_id="tour-1", run_id=RUN, attempt=attempt) as made:
        telemetry.logger("bri_assets.mine").info("ours", rows=rows)
        logging.getLogger("a.library").warning("from %s", "a library")
        made.made(rows, model="yolo26n.pt", result="complete")


def failing(error: BaseException) -> None:
    """A stage that an error ends; the error is raised while another one, which quotes content, is handled."""
    try:
        with telemetry.stage(Settings(), "captions", video_id="tour-1", run_id=RUN):
            try:
                int(SECRET)
            except ValueError as cause:
                raise error from cause
    except type(error) as caught:
        assert caught is error  # noqa: PT017 - the stage must not turn it into another one
        logging.getLogger("bri_assets.other").exception("said again")


def failed() -> None:
    """One of our errors."""
    failing(ModelFailed("blip", "raised at frame 3.", "Look at the frame."))


def quoted() -> None:
    """One of our errors that quotes content."""
    failing(RowsInvalid("captions", [{"column": "text", "failure_case": SECRET}]))


def foreign() -> None:
    """A library's error."""
    failing(RuntimeError(SECRET))


def stopped() -> None:
    """What stops a process."""
    failing(KeyboardInterrupt())


def killed() -> None:
    """A process that dies within its second stage."""
    done()
    with telemetry.stage(Settings(), "captions", video_id="tour-1", run_id=RUN):
        os.kill(os.getpid(), signal.SIGKILL)


def forked() -> None:
    """A child that counts beside its parent."""
    done()
    child = os.fork()
    if not child:
        for _ in range(50):
            done()
        os._exit(0)
    for _ in range(50):
        done()
    assert os.waitpid(child, 0)[1] == 0


def waiting() -> None:
    """A process that counts once, says so, and lives on until its standard input closes."""
    done()
    sys.stdout.write("counted\n")
    sys.stdout.flush()
    sys.stdin.read()


def warned() -> None:
    """Python's own warnings, and Dagster's logger as Dagster's command sets it up."""
    from dagster._utils.log import configure_loggers

    configure_loggers()
    with telemetry.stage(Settings(), "frames", video_id="tour-1", run_id=RUN):
        warnings.warn("a warning", UserWarning, stacklevel=1)
        logging.getLogger("dagster.daemon").warning("by Dagster")
    telemetry.logger("bri_assets.mine").warning("outside")


def traced() -> None:
    """A run of two stages, which ends."""
    done()
    done("detections")
    telemetry.run_ended(Settings(), "ingest", RUN, began_s=1_700_000_000.0, ended_s=1_700_000_010.5, success=True)


def _costly(*names: str) -> list[str]:
    """Those of some libraries that are imported; opentelemetry by what sends, for redis imports the rest of it."""
    told = {"opentelemetry": "opentelemetry.exporter"}
    return sorted(name for name in names if told.get(name, name) in sys.modules)


def imported() -> None:
    """Which of the costly libraries are imported."""
    done()
    sys.stdout.write(",".join(_costly("prometheus_client", "opentelemetry")) + "\n")


def loaded() -> None:
    """The same of a process that only loads what Dagster loads."""
    import bri_assets.definitions

    assert bri_assets.definitions.defs
    sys.stdout.write(",".join(_costly("prometheus_client", "opentelemetry", "structlog")) + "\n")


def full() -> None:
    """A process whose metrics' folder cannot be made, for a file is in its way."""
    Path(os.environ["BRI_HOME"]).joinpath("metrics").touch()
    done()
    done()


MODES: dict[str, Callable[[], None]] = {
    "done": done,
    "again": lambda: done(attempt=2),
    "failed": failed,
    "quoted": quoted,
    "foreign": foreign,
    "stopped": stopped,
    "killed": killed,
    "forked": forked,
    "waiting": waiting,
    "warned": warned,
    "traced": traced,
    "imported": imported,
    "loaded": loaded,
    "full": full,
    "commit": lambda: done("committed_video"),
}

if __name__ == "__main__":
    MODES[sys.argv[1]]()
