"""Notes of progress: which stage works on a video at this moment and how far it is, and when uploads were looked for.

Small files in ``BRI_HOME/progress``, so that whoever waits for a video is told without asking Dagster. A note lives as
long as its stage works; one that a killed process left is known by the name of that process. What does not belong here:
what became of a video, which the store and the staged manifests say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from bri_assets.errors import StorageFailed
from bri_assets.files import storing, write_atomically
from bri_assets.processes import is_gone, name_of
from bri_assets.telemetry import logger

__all__ = ["FOLDER", "Note", "looked_at", "mark_look", "note_count", "notes", "noting"]

#: In BRI_HOME; a folder a video, so that a purge of the video takes it along.
FOLDER = "progress"

#: Touched by the sensor ``uploads`` whenever it looks.
_LOOK = ".uploads"


class Note(BaseModel):
    """What a stage says of itself while it works.

    Args:
        stage: its table.
        run_id: the Dagster run.
        process: as ``processes.name_of`` gives it.
        begun_at: when it began, UTC.
        done: how many are done; None where it does not count, or did not yet.
        total: of how many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    run_id: str
    process: str
    begun_at: AwareDatetime
    done: int | None = None
    total: int | None = None


@contextmanager
def noting(home: Path, video_id: str, stage: str, run_id: str) -> Iterator[None]:
    """Keep a note for the time of the block; work goes on where none can be kept."""
    path = _path(home, video_id, stage)
    _write(path, Note(stage=stage, run_id=run_id, process=name_of(), begun_at=datetime.now(UTC)))
    try:
        yield
    finally:
        kept = _read(path)
        if kept is not None and kept.run_id == run_id:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # another stage of the video has its note there
            path.parent.rmdir()


def note_count(home: Path, video_id: str, stage: str, done: int, total: int) -> None:
    """Say how far a stage is, in the note that ``noting`` keeps; where there is none, nothing."""
    path = _path(home, video_id, stage)
    kept = _read(path)
    if kept is not None:
        _write(path, kept.model_copy(update={"done": done, "total": total}))


def notes(home: Path, video_id: str) -> dict[str, Note]:
    """The notes of a video, by stage, as far as the processes that wrote them still live."""
    found = (_read(path) for path in (home / FOLDER / video_id).glob("*.json"))
    return {note.stage: note for note in found if note is not None and not is_gone(note.process)}


def mark_look(home: Path) -> None:
    """Say that the sensor ``uploads`` looks now; it goes on where that cannot be said."""
    path = home / FOLDER / _LOOK
    try:
        with storing(path, 0):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    except StorageFailed as error:
        logger(__name__).warning("no sign of the sensor uploads", error=str(error))


def looked_at(home: Path) -> datetime | None:
    """When the sensor ``uploads`` looked last, UTC; None where it never did."""
    try:
        return datetime.fromtimestamp((home / FOLDER / _LOOK).stat().st_mtime, UTC)
    except FileNotFoundError:
        return None


def _path(home: Path, video_id: str, stage: str) -> Path:
    return home / FOLDER / video_id / f"{stage}.json"


def _write(path: Path, note: Note) -> None:
    try:
        write_atomically(path, note.model_dump_json().encode() + b"\n", sync_name=False)
    except StorageFailed as error:
        # The work itself is worth more than what is told of it; a disk that is full will stop that soon enough.
        logger(__name__).warning("no note of progress", stage=note.stage, error=str(error))


def _read(path: Path) -> Note | None:
    """A note; None where there is none, or none that can be read: it is told again in a moment."""
    try:
        return Note.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
