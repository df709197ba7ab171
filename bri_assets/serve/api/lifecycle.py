"""Routes that change what is shown of a video: delete, undelete, rollback, purge; and its history.

Each takes a video's whole id: what is changed is named, not guessed. What does not belong here: the changes themselves
(``store.deletion``, ``store.history``, ``store.erasure``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from bri_assets.errors import VideoNotFound
from bri_assets.search.index import Index
from bri_assets.serve.api.auth import Admin, Reader, Writer, allowed
from bri_assets.serve.api.work import run
from bri_assets.serve.services import Services
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.history import History, VideoHistory

__all__ = ["router"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Purged(_Model):
    """What a purge removed, and what it cannot reach."""

    rows: dict[str, int] = Field(description="Rows that were removed, by table.")
    files: int = Field(description="Files that were removed.")
    backups: int = Field(description="Backups that may still hold it.")
    uploads: int = Field(description="Uploaded files of it that are still there.")
    elsewhere: list[str] = Field(description="What else may hold something of it, a sentence each.")


class Changed(_Model):
    """What came of deleting a video or taking that back."""

    video_id: str
    deleted_at: datetime | None = Field(description="When it was deleted; null where it is not.")
    changed: bool = Field(description="Whether this changed anything.")
    purged: Purged | None = Field(None, description="What was removed for good, where that was asked for.")


class Target(_Model):
    """Which version is to be shown."""

    version: int = Field(ge=1, le=2**31 - 1, description="Its number among the video's versions, from 1.")


class RolledBack(_Model):
    """What came of a rollback."""

    video_id: str
    before: int = Field(description="Number of the version that was shown before.")
    after: int = Field(description="Number of the version that is shown now.")
    changed: bool = Field(description="Whether this changed anything.")


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(tags=["lifecycle"])
    changes = _Changes(services)

    @made.delete("/v1/videos/{video_id}", operation_id="delete_video")
    async def delete(
        video_id: str,
        caller: Writer,
        purge: Annotated[bool, Query(description="Remove it for good; needs the scope admin.")] = False,
    ) -> Changed:
        """Hide a video from every read; again changes nothing. With `purge`, remove it for good."""
        if purge:
            allowed(caller, "admin")
            return await run(services, changes.purge, video_id, caller.channel)
        return await run(services, changes.delete, video_id, caller.channel)

    @made.post("/v1/videos/{video_id}/undelete", operation_id="undelete_video")
    async def undelete(video_id: str, caller: Writer) -> Changed:
        """Show a deleted video again, exactly as it was; again changes nothing."""
        return await run(services, changes.undelete, video_id, caller.channel)

    @made.post("/v1/videos/{video_id}/rollback", operation_id="rollback_video")
    async def rollback(video_id: str, target: Target, caller: Admin) -> RolledBack:
        """Show another version of a video, an earlier or a later one; the one that is shown already stays."""
        return await run(services, changes.rollback, video_id, target.version, caller.channel)

    @made.get("/v1/videos/{video_id}/history", operation_id="get_history")
    async def history(video_id: str, _caller: Reader) -> VideoHistory:
        """Every version of a video and every move between them, of a deleted video too."""
        return await run(services, changes.history, video_id)

    return made


class _Changes:
    """The changes, by whole ids."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._history, self._purge = services.group(History), services.group(Purge)

    def delete(self, video_id: str, channel: str) -> Changed:
        """Hide it; raises as ``Deletion.delete``."""
        self._require_whole(video_id)
        done = self._services.deletion.delete(video_id, channel=channel)
        self._services.answers.forget(video_id)
        return Changed(video_id=done.video_id, deleted_at=done.deleted_at, changed=done.changed)

    def undelete(self, video_id: str, channel: str) -> Changed:
        """Show it again; raises as ``Deletion.undelete``."""
        self._require_whole(video_id)
        done = self._services.deletion.undelete(video_id, channel=channel)
        return Changed(video_id=done.video_id, deleted_at=done.deleted_at, changed=done.changed)

    def purge(self, video_id: str, channel: str) -> Changed:
        """Remove it for good, from the index of the search too; raises as ``Purge.purge``."""
        self._require_whole(video_id)
        # As ``search.following.erase`` does, but in this process: the index goes once the video is hidden.
        self._purge.begin(video_id, reason="asked for", channel=channel)
        Index.of(self._services.settings).forget(video_id)
        done = self._purge.purge(video_id, reason="asked for", channel=channel)
        self._services.answers.forget(video_id)
        told = Purged(
            rows=done.rows,
            files=done.files.count,
            backups=len(done.left.backups),
            uploads=len(done.left.uploads),
            elsewhere=list(done.left.elsewhere),
        )
        return Changed(video_id=video_id, deleted_at=None, changed=True, purged=told)

    def rollback(self, video_id: str, version: int, channel: str) -> RolledBack:
        """Show another version; raises as ``History.rollback``."""
        self._require_whole(video_id)
        done = self._history.rollback(video_id, version, channel=channel)
        return RolledBack(video_id=done.video_id, before=done.before, after=done.after, changed=done.changed)

    def history(self, video_id: str) -> VideoHistory:
        """Its history; raises as ``History.history``."""
        self._require_whole(video_id)
        return self._history.history(video_id)

    def _require_whole(self, video_id: str) -> None:
        """Raise ``VideoNotFound`` where this is no video's whole id."""
        if self._services.deletion.find(video_id) != video_id:
            raise VideoNotFound(video_id, "is not the whole id of a video.", "Name it by its id.")
