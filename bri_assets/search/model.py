"""What a search is asked and what it answers, and what is told of its index: times in seconds, scores 0 to 1.

What does not belong here: how anything is found (``search``) or kept (``index``).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bri_assets.store.queries.model import Evidence, Source

__all__ = [
    "Disagreement",
    "IndexState",
    "IndexStatus",
    "Kind",
    "MatchedBy",
    "Mode",
    "SearchAnswer",
    "SearchHit",
    "SearchRequest",
    "Synced",
]

Kind = Literal["caption", "segment"]
Mode = Literal["hybrid", "keyword", "semantic"]
MatchedBy = Literal["keyword", "semantic"]
State = Literal["current", "behind", "missing", "unusable"]


class Model(BaseModel):
    """Base of all: frozen, and nothing but what is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SearchRequest(Model):
    """What is looked for, and where."""

    text: str = Field(min_length=1, max_length=500, description='Words, or a question; "quoted words" are a phrase.')
    mode: Mode = Field(
        "hybrid", description="By words (`keyword`), by meaning (`semantic`), or by both and merged (`hybrid`)."
    )
    video_ids: list[str] | None = Field(
        None, min_length=1, max_length=1000, description="Only in these videos; default: in all."
    )
    kinds: list[Kind] | None = Field(
        None, min_length=1, max_length=2, description="Only captions (seen) or only segments (said); default: both."
    )
    from_s: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Only what ends at or after this time of its video."
    )
    to_s: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Only what begins at or before this time of its video."
    )
    committed_after: datetime | None = Field(None, description="Only versions committed after it; UTC unless it says.")
    committed_before: datetime | None = Field(None, description="Only versions committed before it.")
    limit: int = Field(10, ge=1, le=50, description="Most hits.")


class SearchHit(Model):
    """One text that was found, with what shows it."""

    source: Source
    kind: Kind = Field(description="`caption`: seen; `segment`: said.")
    row_index: int = Field(description="Frame index of the caption (the first, where it lasts), or segment index.")
    start_s: float = Field(description="When it begins: time of the (first) frame with the caption, or of the speech.")
    end_s: float = Field(description="When it ends: time of the last frame in a row with the same caption.")
    text: str
    score: float = Field(ge=0, le=1, description="How well it matches; to be compared within one answer only.")
    matched_by: list[MatchedBy] = Field(description="What found it.")
    evidence: Evidence


class IndexState(Model):
    """How the index stood when it answered."""

    state: State = Field(
        description="`current`; `behind`, some videos are not in it yet; `missing`; or `unusable`, rebuild it."
    )
    behind_videos: int = Field(ge=0, description="Videos within the question that were searched by the slower way.")
    said: str = Field(description="How this was answered, in one sentence.")
    model: str | None = Field(description="Model of the index's vectors; null where there is no index.")


class SearchAnswer(Model):
    """What was found, best first."""

    hits: list[SearchHit]
    mode: Mode = Field(description="How it was searched; `keyword` where meanings could not be had.")
    index: IndexState
    complete: bool = Field(description="Everything that is shown was searched in this mode.")


class IndexStatus(Model):
    """The index as it lies on the disk, compared with what the store shows."""

    state: State
    said: str = Field(description="In one sentence, with the remedy where there is one.")
    generation: str | None
    made_at: datetime | None
    model: str | None
    weights_sha256: str | None
    dimension: int | None
    layout: int | None
    versions: int = Field(description="Versions that are in it.")
    texts: int = Field(description="Rows of it: captions that last are one.")
    behind: list[str] = Field(description="Videos that are shown and not in it; at most 100.")
    behind_videos: int
    surplus: int = Field(description="Versions that are in it and not shown any more; no answer gives them.")
    vectors: Literal["flat", "ivf_rq"] | None = Field(description="How vectors are compared.")
    size_bytes: int


class Synced(Model):
    """What one synchronisation did."""

    added: list[str] = Field(description="Videos whose version was added.")
    removed: int = Field(description="Versions that were taken out.")
    texts: int = Field(description="Rows that were added.")
    embedded: int = Field(description="Different texts that had to be embedded.")
    made: bool = Field(description="The index was not there, and was made.")
    generation: str
    seconds: float


class Disagreement(Model):
    """A version about which index and store do not agree."""

    video_id: str
    version_id: int | None
    what: str = Field(description="In words.")
