"""The ways on which a question is put: Python, REST, and MCP with the official client.

Each turns a question's read into the calls of its way, and the answer into an ``Answer``. What does not belong here:
what is right (``judging``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import anyio.from_thread
import httpx
from mcp import Client
from pydantic import BaseModel

from bri_assets.search.model import SearchRequest
from bri_assets.search.search import Search
from bri_assets.settings import Settings
from bri_assets.store.memory import Memory
from bri_assets.store.messages import Turn
from bri_assets.store.queries.model import LibraryFilter, Moment, Range
from bri_assets.store.queries.queries import Queries
from bri_assets_tests.questions.asked import Question
from bri_assets_tests.questions.judging import Answer, Found, Shown

__all__ = ["Mcp", "Python", "Rest", "Way"]

Data = dict[str, Any]

#: Most rows on a page, so that longer answers come in several.
_PAGE = 4


class Way(ABC):
    """One way; the methods that are no answers give the JSON of the way's own answer."""

    def ask(self, question: Question) -> Answer:
        """Put a question."""
        return getattr(self, f"_{question.read}")(**question.given)  # type: ignore[no-any-return]

    @abstractmethod
    def id_of(self, clip: str) -> str:
        """The id of a clip's video."""

    @abstractmethod
    def image(self, clip: str, frame_index: int) -> bytes:
        """A frame's JPEG."""

    @abstractmethod
    def objects(self, class_names: list[str], clip: str | None) -> Iterable[Data]:
        """Every ``ObjectsInVideo``."""

    @abstractmethod
    def moment(self, clip: str, at_s: float, within_s: float) -> Data:
        """``Around``."""

    @abstractmethod
    def speech(self, clip: str, at_s: float) -> Data | None:
        """The segment at a time."""

    @abstractmethod
    def searched(self, asked: Data) -> Data:
        """``SearchAnswer``."""

    @abstractmethod
    def told(self, clip: str) -> Data:
        """``VideoFacts``."""

    @abstractmethod
    def counted(self, clip: str) -> Data:
        """``Counts``."""

    @abstractmethod
    def listed(self, wanted: Data) -> list[Data]:
        """The library's entries."""

    @abstractmethod
    def scenery(self, clip: str) -> Data:
        """``Timeline``."""

    @abstractmethod
    def pages(self, table: str, clip: str, asked: Data) -> Iterable[list[Data]]:
        """Pages of rows."""

    @abstractmethod
    def remember(self, conversation_id: str, user: str, assistant: str) -> None:
        """Keep a turn."""

    @abstractmethod
    def recalled(self, conversation_id: str) -> list[Data]:
        """The messages of a conversation."""

    def _objects(self, class_names: list[str], clips: list[str] | None) -> Answer:
        found = [
            Found(
                _clip(video),
                seen["start_s"],
                seen["end_s"],
                " ".join(video["class_names"]),
                tuple(_shown(seen[name]) for name in ("first", "best", "last")),
            )
            for video in self.objects(class_names, clips[0] if clips else None)
            for seen in video["intervals"]
        ]
        return Answer(tuple(found))

    def _around(self, clip: str, at_s: float, within_s: float) -> Answer:
        around = self.moment(clip, at_s, within_s)
        nearest = _frame(clip, around["nearest"])
        seen = sorted({one["class_name"] for one in around["detections"]})
        assert seen == sorted(around["nearest"]["objects"]), "objects and boxes of the nearest frame"
        frames = [_frame(clip, frame) for frame in around["frames"]]
        assert nearest in frames or abs(nearest.start_s - at_s) > within_s
        return Answer((nearest, *frames, *(_segment(clip, one) for one in around["segments"])))

    def _said_at(self, clip: str, at_s: float) -> Answer:
        segment = self.speech(clip, at_s)
        return Answer(() if segment is None else (_segment(clip, segment),))

    def _search(self, clips: list[str] | None = None, **asked: Any) -> Answer:
        if clips is not None:
            asked["video_ids"] = [self.id_of(clip) for clip in clips]
        answer = self.searched(asked)
        assert answer["complete"], answer["index"]
        found = [
            Found(
                _clip(hit),
                hit["start_s"],
                hit["end_s"],
                hit["text"],
                (_shown(hit["evidence"]),),
                spoken=hit["kind"] == "segment",
            )
            for hit in answer["hits"]
        ]
        return Answer(tuple(found))

    def _facts(self, clip: str) -> Answer:
        return Answer(facts=self.told(clip))

    def _counts(self, clip: str) -> Answer:
        return Answer(facts=self.counted(clip))

    def _library(self, **wanted: Any) -> Answer:
        return Answer(facts={"clips": [Path(entry["filename"]).stem for entry in self.listed(wanted)]})

    def _scenes(self, clip: str) -> Answer:
        timeline = self.scenery(clip)
        return Answer(
            tuple(
                Found(
                    clip,
                    one["start_s"],
                    one["end_s"],
                    f"{one['caption']} {' '.join(one['classes'])}",
                    (_shown(one["evidence"]),),
                )
                for one in timeline["scenes"]
            )
        )

    def _rows(self, kind: str, clip: str, **asked: Any) -> Answer:
        make = {"segments": _segment, "frames": _frame, "captions": _caption, "detections": self._detection}[kind]
        return Answer(tuple(make(clip, row) for page in self.pages(kind, clip, asked) for row in page))

    def _detection(self, clip: str, row: Data) -> Found:
        at_s = row["timestamp_s"]
        frames = [row for page in self.pages("frames", clip, {"from_s": at_s, "to_s": at_s}) for row in page]
        return Found(clip, at_s, at_s, row["class_name"], tuple(_shown(frame["evidence"]) for frame in frames))

    def _recall(self) -> Answer:
        """What was asked in a conversation of this way's own."""
        conversation = f"questions-{type(self).__name__}"
        self.remember(conversation, "When is the cat on screen?", "From 0:08 to 0:16.")
        self.remember(conversation, "And the cup?", "From 0:16 on.")
        said = [(one["role"], one["content"]) for one in self.recalled(conversation)]
        asked = [content for role, content in said if role == "user"]
        return Answer(facts={"asked": asked, "answers": len(said) - len(asked)})


class Python(Way):
    """The package itself, as an agent's author uses it."""

    def __init__(self, settings: Settings) -> None:
        self._queries, self._memory = Queries.of(settings), Memory.of(settings)
        self._search_, self._home = Search.of(settings), settings.home

    def id_of(self, clip: str) -> str:
        return self._queries.resolve([clip])[clip]

    def image(self, clip: str, frame_index: int) -> bytes:
        evidence = self._queries.frame(self.id_of(clip), frame_index).frame.evidence
        return (self._home / evidence.image_path).read_bytes()

    def objects(self, class_names: list[str], clip: str | None) -> Iterable[Data]:
        cursor: str | None = None
        while True:
            page = self._queries.objects(class_names, [self.id_of(clip)] if clip else None, limit=2, cursor=cursor)
            yield from map(_plain, page.items)
            cursor = page.next_cursor
            if cursor is None:
                return

    def moment(self, clip: str, at_s: float, within_s: float) -> Data:
        return _plain(self._queries.around([Moment(video_id=self.id_of(clip), at_s=at_s, within_s=within_s)])[0])

    def speech(self, clip: str, at_s: float) -> Data | None:
        found: Data | None = _plain(self._queries.segments_at([Moment(video_id=self.id_of(clip), at_s=at_s)])[0])[
            "segment"
        ]
        return found

    def searched(self, asked: Data) -> Data:
        return _plain(self._search_.search([SearchRequest(**asked)])[0])

    def told(self, clip: str) -> Data:
        return _plain(self._queries.facts([self.id_of(clip)])[0])

    def counted(self, clip: str) -> Data:
        return _plain(self._queries.counts([self.id_of(clip)])[0])

    def listed(self, wanted: Data) -> list[Data]:
        return [_plain(entry) for entry in self._queries.library(LibraryFilter(**wanted)).items]

    def scenery(self, clip: str) -> Data:
        return _plain(self._queries.scenes([self.id_of(clip)])[0])

    def pages(self, table: str, clip: str, asked: Data) -> Iterable[list[Data]]:
        cursor: str | None = None
        while True:
            wanted = Range(video_id=self.id_of(clip), cursor=cursor, **{"limit": _PAGE, **asked})
            page = getattr(self._queries, table)([wanted])[0]
            yield [_plain(row) for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return

    def remember(self, conversation_id: str, user: str, assistant: str) -> None:
        self._memory.add(Turn(conversation_id=conversation_id, user=user, assistant=assistant), channel="tests")

    def recalled(self, conversation_id: str) -> list[Data]:
        return [_plain(message) for message in self._memory.last(conversation_id)]


class Rest(Way):
    """The server's REST, below ``/v1``."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(base_url=base_url, timeout=60)

    def id_of(self, clip: str) -> str:
        found: str = self._get("/v1/videos/resolve", name=clip)["video_id"]
        return found

    def image(self, clip: str, frame_index: int) -> bytes:
        answer = self._client.get(f"{self._video(clip)}/frames/{frame_index}/image")
        assert answer.headers["content-type"] == "image/jpeg", answer.text
        return answer.content

    def objects(self, class_names: list[str], clip: str | None) -> Iterable[Data]:
        if clip is not None:
            yield from self._get(f"{self._video(clip)}/objects", class_name=class_names)["items"]
            return
        cursor: str | None = None
        while True:
            asked = {} if cursor is None else {"cursor": cursor}
            page = self._get("/v1/objects", class_name=class_names, limit=2, **asked)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def moment(self, clip: str, at_s: float, within_s: float) -> Data:
        return self._get(f"{self._video(clip)}/around", at_s=at_s, within_s=within_s)

    def speech(self, clip: str, at_s: float) -> Data | None:
        found: Data | None = self._get(f"{self._video(clip)}/segment", at_s=at_s)["segment"]
        return found

    def searched(self, asked: Data) -> Data:
        return self._get("/v1/search", **asked)

    def told(self, clip: str) -> Data:
        return self._get(self._video(clip))

    def counted(self, clip: str) -> Data:
        every = self._client.get("/v1/videos/counts").raise_for_status().json()
        return next(one for one in every if one["source"]["filename"] == f"{clip}.mp4")  # type: ignore[no-any-return]

    def listed(self, wanted: Data) -> list[Data]:
        found: list[Data] = self._get("/v1/videos", **wanted)["items"]
        return found

    def scenery(self, clip: str) -> Data:
        return self._get(f"{self._video(clip)}/timeline")

    def pages(self, table: str, clip: str, asked: Data) -> Iterable[list[Data]]:
        cursor: str | None = None
        while True:
            further = {} if cursor is None else {"cursor": cursor}
            page = self._get(f"{self._video(clip)}/{table}", **{"limit": _PAGE, **asked, **further})
            yield page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def remember(self, conversation_id: str, user: str, assistant: str) -> None:
        said = {"user": user, "assistant": assistant}
        self._client.post(f"/v1/conversations/{conversation_id}/turns", json=said).raise_for_status()

    def recalled(self, conversation_id: str) -> list[Data]:
        found: list[Data] = self._get(f"/v1/conversations/{conversation_id}/messages")["items"]
        return found

    def _video(self, clip: str) -> str:
        return f"/v1/videos/{quote(self.id_of(clip))}"

    def _get(self, path: str, **asked: Any) -> Data:
        answer = self._client.get(path, params=asked)
        assert answer.is_success, answer.text
        found: Data = answer.json()
        return found


class Mcp(Way):
    """The server's tools, called by the official client; a video is named as a person names it."""

    def __init__(self, portal: anyio.from_thread.BlockingPortal, client: Client) -> None:
        self._portal, self._client = portal, client

    def id_of(self, clip: str) -> str:
        return clip

    def image(self, clip: str, frame_index: int) -> bytes:
        import base64

        asked = {"video": clip, "frame_index": frame_index}
        answer = self._portal.call(self._client.call_tool, "show_frame", asked)
        return next(base64.b64decode(part.data) for part in answer.content if part.type == "image")

    def objects(self, class_names: list[str], clip: str | None) -> Iterable[Data]:
        asked: Data = {"class_name": class_names, "limit": 2} | ({"video": clip} if clip else {})
        while True:
            page = self._call("find_objects", **asked)
            yield from page["videos"]
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]

    def moment(self, clip: str, at_s: float, within_s: float) -> Data:
        found: Data = self._call("look_at_time", video=clip, at_s=at_s, within_s=within_s)["moments"][0]
        return found

    def speech(self, clip: str, at_s: float) -> Data | None:
        found: Data | None = self.moment(clip, at_s, 0.0)["said"]
        return found

    def searched(self, asked: Data) -> Data:
        if "video_ids" in asked:
            asked["video"] = asked.pop("video_ids")
        found: Data = self._call("search", **asked)["answers"][0]
        return found

    def told(self, clip: str) -> Data:
        found: Data = self._call("describe_video", video=clip)["videos"][0]
        return found

    def counted(self, clip: str) -> Data:
        found: Data = self._call("count_rows", videos=[clip])["videos"][0]
        return found

    def listed(self, wanted: Data) -> list[Data]:
        found: list[Data] = self._call("list_videos", **wanted)["items"]
        return found

    def scenery(self, clip: str) -> Data:
        return self.told(clip)

    def pages(self, table: str, clip: str, asked: Data) -> Iterable[list[Data]]:
        given: Data = {"video": clip, "table": table, "limit": _PAGE, **asked}
        while True:
            page = self._call("read_rows", **given)["pages"][0]
            yield page[table]
            if page["next_cursor"] is None:
                return
            given["cursor"] = page["next_cursor"]

    def remember(self, conversation_id: str, user: str, assistant: str) -> None:
        self._call("remember", conversation_id=conversation_id, user=user, assistant=assistant)

    def recalled(self, conversation_id: str) -> list[Data]:
        found: list[Data] = self._call("recall", conversation_id=conversation_id)["messages"]
        return found

    def _call(self, tool: str, **asked: Any) -> Data:
        answer = self._portal.call(self._client.call_tool, tool, asked)
        assert not answer.is_error, answer.content
        found: Data = answer.structured_content
        return found


def _plain(found: BaseModel) -> Data:
    return found.model_dump(mode="json")


def _clip(found: Data) -> str:
    return Path(found["source"]["filename"]).stem


def _shown(evidence: Data) -> Shown:
    return Shown(evidence["frame_index"], evidence["timestamp_s"], evidence["image_path"])


def _frame(clip: str, frame: Data) -> Found:
    shown = _shown(frame["evidence"])
    words = f"{frame['caption']} {' '.join(frame['objects'])}"
    return Found(clip, shown.timestamp_s, shown.timestamp_s, words, (shown,))


def _caption(clip: str, caption: Data) -> Found:
    shown = _shown(caption["evidence"])
    return Found(clip, shown.timestamp_s, shown.timestamp_s, caption["text"], (shown,))


def _segment(clip: str, segment: Data) -> Found:
    return Found(
        clip, segment["start_s"], segment["end_s"], segment["text"], (_shown(segment["evidence"]),), spoken=True
    )
