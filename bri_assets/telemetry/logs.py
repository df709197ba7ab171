"""Logs: one handler on the root logger, through which our lines and the libraries' go, each with video, run and stage.

Lines go to standard error, from where Dagster keeps them with the step. Dagster's own loggers (``context.log`` too)
keep the handlers that Dagster gives them. What does not belong here: when a line is written.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from bri_assets.settings import Settings
from bri_assets.telemetry import failures

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger
    from structlog.typing import EventDict, Processor

__all__ = ["adopt", "logger", "set_up"]

#: Libraries that give their logger a handler of its own when they are imported.
_LIBRARIES = ("transformers", "ultralytics")

#: Dagster's, which write themselves where Dagster has given them a handler.
_DAGSTER = ("dagster", "dagster-webserver", "dagit")


class _Handler(logging.Handler):
    """Writes to standard error as it is at that moment: progress bars, tests and Dagster put others in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - logging's own way: a line that cannot be written stops nobody's work
            self.handleError(record)


def logger(name: str) -> BoundLogger:
    """A logger that takes what it tells as key and value: ``log.info("stage ended", rows=12)``."""
    import structlog

    # Not through structlog's global configuration: Dagster's command sets that for itself.
    made = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_said(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
    )
    return cast("BoundLogger", made)


def set_up(settings: Settings, level: str) -> None:
    """Put the handler on the root logger, in the place of one from an earlier call; others on it stay.

    Args:
        settings: of the process.
        level: least level where the settings name none. Libraries are never asked for more than warnings, unless for
            ``debug``.
    """
    wanted = logging.getLevelNamesMapping()[(settings.log_level or level).upper()]
    handler = _Handler()
    handler.setFormatter(_formatter(settings.log_format))
    handler.addFilter(_not_dagsters)
    root = logging.getLogger()
    for earlier in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(wanted if wanted == logging.DEBUG else max(wanted, logging.WARNING))
    logging.getLogger("bri_assets").setLevel(wanted)
    if settings.log_format == "json":
        logging.captureWarnings(True)


def adopt() -> None:
    """Take from libraries that are imported by now the handlers that they gave themselves."""
    for name in _LIBRARIES:
        if name in sys.modules:
            library = logging.getLogger(name)
            for handler in library.handlers[:]:
                library.removeHandler(handler)
            library.propagate = True


def _said() -> list[Processor]:
    from structlog import contextvars, processors, stdlib

    return [
        contextvars.merge_contextvars,
        stdlib.add_log_level,
        stdlib.add_logger_name,
        stdlib.PositionalArgumentsFormatter(),
        processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(form: str) -> logging.Formatter:
    import structlog

    renderer: Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer(default=str)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_said(),
        processors=[_without_content, structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        use_get_message=True,
    )


def _without_content(_logger: Any, _name: str, line: EventDict) -> EventDict:
    """An error in a line becomes its stack; the libraries' own renderers would print messages and local variables."""
    told = line.pop("exc_info", None)
    if told is True:
        told = sys.exc_info()
    if isinstance(told, tuple):
        told = told[1]
    if isinstance(told, BaseException):
        line["exception"] = failures.stack(told)
    return line


def _not_dagsters(record: logging.LogRecord) -> bool:
    top = record.name.split(".")[0]
    return not (top in _DAGSTER and logging.getLogger(top).handlers)
