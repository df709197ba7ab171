"""How far an upload is: what the store says of it, what is staged of its video, and which stage works on it now.

All of it is read from the store and from small files, and nothing is remembered: whoever asks again is told what is
true then. What does not belong here: streams of it (``api.progress``), what becomes of one that failed (``health``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bri_assets.errors import BriError, StagedDamaged, StagedMissing, UploadNotFound, VideoNotFound
from bri_assets.progress import Note, looked_at, notes
from bri_assets.schemas import STAGED_TABLES
from bri_assets.search.index import Index
from bri_assets.settings import Settings
from bri_assets.staging import Manifest, StagingArea
from bri_assets.store.arrivals import Arrival, Arrivals

__all__ = ["STAGES", "Progress", "StageSeen", "UploadSeen", "nobody_looks"]

#: In the order in which they are shown; some of them work at the same time.
STAGES = (*STAGED_TABLES, "committed_video", "search_index")

#: The sensor ``uploads`` looks every few seconds, unless a tick of its takes long; after so long nobody looks.
_SILENT = timedelta(seconds=180)

#: States in which nothing more comes by itself, or not before a person or a later retry makes it come.
_OVER = frozenset({"committed", "quarantined", "failed", "deleted"})


class StageSeen(BaseModel):
    """One stage of an upload's way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str = Field(description=f"One of: {', '.join(STAGES)}.")
    state: Literal["waiting", "running", "done"] = Field(
        description="`done`: what it makes is there, perhaps since an earlier attempt."
    )
    done: int | None = Field(None, description="While it runs: how many are done, where it counts.")
    total: int | None = Field(None, description="Of how many.")
    begun_at: datetime | None = Field(None, description="While it runs: since when.")
    rows: int | None = Field(None, description="Once it is done: rows that it made.")
    seconds: float | None = Field(None, description="What it took.")
    made_at: datetime | None = Field(None, description="When it was done.")


class UploadSeen(BaseModel):
    """An upload and how far it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload: Arrival
    stages: list[StageSeen]
    final: bool = Field(description="Nothing more comes of this attempt.")
    hint: str | None = Field(description="What to do where nobody seems to work on it.")


@dataclass(frozen=True)
class Progress:
    """How far uploads are.

    Args:
        settings: of the process.
        arrivals: what arrived.
        staging: what is staged.
        index: of the search.
    """

    settings: Settings
    arrivals: Arrivals
    staging: StagingArea
    index: Index

    @classmethod
    def of(cls, settings: Settings, arrivals: Arrivals) -> Progress:
        """The progress of a process's BRI_HOME."""
        return cls(settings, arrivals, arrivals.staging, Index.of(settings))

    def of_upload(self, upload_id: str) -> UploadSeen:
        """How far an upload is.

        Raises:
            UploadNotFound: there is none of that id.
        """
        found = self.arrivals.uploads([upload_id]).get(upload_id)
        if found is None:
            raise UploadNotFound(upload_id, "there is no upload of that id.", "See the list of uploads.")
        return self._seen(found)

    def of_video(self, video_id: str) -> UploadSeen:
        """How far the upload of a video is: that which is being ingested, else the last one to change.

        Raises:
            VideoNotFound: no upload is, or is to become, that video.
        """
        found = self.arrivals.of_videos([video_id]).get(video_id)
        if found is None:
            raise VideoNotFound(video_id, "no upload is, or is to become, a video of that id.", "See the uploads.")
        return self._seen(found)

    def _seen(self, upload: Arrival) -> UploadSeen:
        over = upload.state in _OVER
        working = notes(self.settings.home, upload.video_id) if upload.video_id is not None and not over else {}
        if upload.state == "waiting" and working:
            # Its run is known to the store only when the sensor looks again; but it works.
            upload = upload.model_copy(update={"state": "ingesting"})
        stages = [self._staged(upload, table, working.get(table)) for table in STAGED_TABLES]
        stages += [_committed(upload), self._indexed(upload)]
        hint = nobody_looks(self.settings) if upload.state == "waiting" else None
        return UploadSeen(upload=upload, stages=stages, final=over, hint=hint)

    def _staged(self, upload: Arrival, table: str, note: Note | None) -> StageSeen:
        if note is not None:
            return StageSeen(stage=table, state="running", done=note.done, total=note.total, begun_at=note.begun_at)
        manifest = self._manifest(upload, table)
        if manifest is None:
            return StageSeen(stage=table, state="waiting")
        return StageSeen(
            stage=table, state="done", rows=manifest.row_count, seconds=manifest.seconds, made_at=manifest.made_at
        )

    def _manifest(self, upload: Arrival, table: str) -> Manifest | None:
        """What is staged of an upload's video; what is missing or damaged is made again, so it is yet to come."""
        if upload.video_id is None:
            return None
        try:
            found = self.staging.newest(upload.video_id, table)
        except (StagedMissing, StagedDamaged):
            return None
        return found if found.source_sha256 == upload.sha256 else None

    def _indexed(self, upload: Arrival) -> StageSeen:
        """Whether the search finds it by its index; it finds it without, more slowly."""
        waiting = StageSeen(stage="search_index", state="waiting")
        if upload.state != "committed":
            return waiting
        try:
            status = self.index.status()
        except BriError:
            # An index that cannot be looked at has nothing in it that could be told; `/health/ready` says why.
            return waiting
        if status.state not in ("current", "behind") or upload.video_id in status.behind:
            return waiting
        if status.behind_videos > len(status.behind):  # not all of them are named
            return waiting
        return StageSeen(stage="search_index", state="done")


def nobody_looks(settings: Settings) -> str | None:
    """What to do where nobody seems to start the runs of uploads; None where somebody does."""
    last = looked_at(settings.home)
    if last is not None and datetime.now(UTC) - last < _SILENT:
        return None
    since = "has not looked yet" if last is None else f"looked last on {last:%Y-%m-%d at %H:%M:%S} UTC"
    return (
        f"Nobody seems to start it: Dagster's sensor `uploads` {since}. Start the daemon (`make ui`), or run"
        " `bri ingest` with the file on the server."
    )


def _committed(upload: Arrival) -> StageSeen:
    if upload.state != "committed" or upload.committed_at is None:
        return StageSeen(stage="committed_video", state="waiting")
    return StageSeen(stage="committed_video", state="done", made_at=upload.committed_at)
