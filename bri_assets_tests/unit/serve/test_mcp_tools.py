"""The tools as the official client calls them, in this process, over a real store."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.server import MCPServer
from mcp_types import CallToolResult, ImageContent, TextContent

from bri_assets.files import sha256_bytes
from bri_assets.serve.mcp import build_mcp
from bri_assets.serve.mcp.text import MOST_CHARACTERS, at, clock, span
from bri_assets.serve.services import Services
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets_tests.bundles import Rows, operations, rows, stage
from bri_assets_tests.commands import ROOT
from bri_assets_tests.pictures import difference, stretched, with_pictures

HOLIDAY, PARTY = "holiday-000000000001", "party-000000000002"

READERS = {
    "list_videos",
    "describe_video",
    "look_at_time",
    "search",
    "find_objects",
    "read_rows",
    "show_frame",
    "count_rows",
    "recall",
}


def _video(home: Path, video_id: str, frames: int, **size: Any) -> Rows:
    tables = rows(home, frames=frames, video_id=video_id, sha256=sha256_bytes(video_id.encode()))
    tables["source_video"][0]["filename"] = f"{video_id.partition('-')[0]}.mp4"
    return with_pictures(home, tables, **size)


def _commit(home: Path, tables: Rows) -> None:
    operations(Store, home).commit(stage(home, tables), run_id="run-1", channel="test")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos: ``holiday`` of 8 s, and ``party`` of 16 s with large pictures and a cat in two stretches."""
    home = tmp_path_factory.mktemp("mcp")
    _commit(home, _video(home, HOLIDAY, 4))
    party = _video(home, PARTY, 8, size=(1600, 1200))
    party["transcripts"][1]["text"] = "we talk about money here"
    cats = [{**row, "class_id": 15, "class_name": "cat"} for row in party["detections"] if row["detection_index"] == 0]
    party["detections"] = [row for row in cats if row["frame_index"] in (1, 2, 6)]
    _commit(home, party)
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> MCPServer[Any]:
    return build_mcp(Services.of(Settings(home=home)))


def call(server: MCPServer[Any], tool: str, **arguments: Any) -> CallToolResult:
    """Call a tool; the client holds what comes back against the tool's output schema."""

    async def asked() -> CallToolResult:
        async with Client(server) as client:
            return await client.call_tool(tool, arguments)

    return anyio.run(asked)


def told(server: MCPServer[Any], tool: str, **arguments: Any) -> dict[str, Any]:
    """The data of an answer that is none of an error and short enough."""
    found = call(server, tool, **arguments)
    assert not found.is_error, text_of(found)
    assert len(text_of(found)) <= MOST_CHARACTERS
    assert len(json.dumps(found.structured_content)) <= 2.5 * MOST_CHARACTERS
    data: dict[str, Any] = found.structured_content
    return data


def refused(server: MCPServer[Any], tool: str, **arguments: Any) -> str:
    """What is said about a call that fails."""
    found = call(server, tool, **arguments)
    assert found.is_error, text_of(found)
    assert "Traceback" not in text_of(found)
    return text_of(found)


def text_of(found: CallToolResult) -> str:
    return "\n".join(one.text for one in found.content if isinstance(one, TextContent))


def pictures_of(found: CallToolResult) -> list[bytes]:
    return [base64.b64decode(one.data) for one in found.content if isinstance(one, ImageContent)]


def test_an_agent_is_told_what_each_tool_is_for(server: MCPServer[Any]) -> None:
    async def listed() -> tuple[list[Any], str | None]:
        async with Client(server) as client:
            return (await client.list_tools()).tools, client.instructions

    tools, instructions = anyio.run(listed)
    assert {tool.name for tool in tools} == READERS | {"remember", "forget"}
    for tool in tools:
        assert "Example: " in tool.description, tool.name
        assert f"{tool.name}(" in tool.description
        assert tool.output_schema is not None
        assert tool.annotations.read_only_hint is (tool.name in READERS), tool.name
        assert tool.annotations.destructive_hint is (tool.name == "forget"), tool.name
        assert tool.annotations.idempotent_hint is (tool.name != "remember"), tool.name
        undescribed = [name for name, one in tool.input_schema["properties"].items() if "description" not in one]
        assert undescribed == []
    # What a client puts before the agent at every turn.
    assert sum(len(json.dumps(tool.input_schema)) + len(tool.description) for tool in tools) < 24_000
    assert instructions is not None
    assert "evidence" in instructions
    assert "never instructions" in instructions


def test_the_list_has_the_newest_video_first_and_pages(server: MCPServer[Any]) -> None:
    whole = told(server, "list_videos")
    assert [one["video_id"] for one in whole["items"]] == [PARTY, HOLIDAY]
    first = told(server, "list_videos", limit=1)
    second = told(server, "list_videos", limit=1, cursor=first["next_cursor"])
    assert [first["items"][0]["video_id"], second["items"][0]["video_id"]] == [PARTY, HOLIDAY]
    assert second["next_cursor"] is None
    assert [one["video_id"] for one in told(server, "list_videos", class_name="cat")["items"]] == [PARTY]
    assert told(server, "list_videos", text="no such words")["items"] == []


def test_a_video_is_described_by_any_of_its_names(server: MCPServer[Any]) -> None:
    for name in (HOLIDAY, "holi", "holiday.mp4"):
        [video] = told(server, "describe_video", video=name)["videos"]
        assert video["source"]["video_id"] == HOLIDAY
    assert (video["frames"], video["duration_s"]) == (4, 8.0)
    assert {one["class_name"] for one in video["classes"]} == {"dog", "horse"}
    assert video["scenes"][0]["start_s"] == 0
    both = told(server, "describe_video", video=["holiday.mp4", "party.mp4"])["videos"]
    assert [one["source"]["video_id"] for one in both] == [HOLIDAY, PARTY]


def test_a_time_has_what_is_seen_and_said_then(server: MCPServer[Any]) -> None:
    found = call(server, "look_at_time", video="party.mp4", at_s=2.1, within_s=2, with_image=True)
    [moment] = found.structured_content["moments"]
    assert moment["nearest"]["evidence"]["frame_index"] == 1
    assert moment["nearest"]["evidence"]["timestamp_s"] == 2.0
    assert moment["nearest"]["caption"] == "a picture 1"
    assert moment["nearest"]["objects"] == {"cat": 1}
    assert moment["said"]["text"] == "we talk about money here"
    assert (moment["said_before"]["text"], moment["said_after"]["text"]) == ("words 0", "words 2")
    assert [one["evidence"]["frame_index"] for one in moment["frames"]] == [1, 2]
    assert [one["class_name"] for one in moment["detections"]] == ["cat"]
    [picture] = pictures_of(found)
    assert difference(picture, 1) < 12
    text = text_of(found)
    assert "frame 1 at 0:02 (2.0 s): a picture 1" in text
    assert "we talk about money here" in text
    assert moment["nearest"]["evidence"]["image_path"] in text


def test_several_videos_and_times_are_looked_at_in_one_call(server: MCPServer[Any]) -> None:
    moments = told(server, "look_at_time", video=["party.mp4", "holiday.mp4"], at_s=[0, 6])["moments"]
    assert [(one["source"]["video_id"], one["at_s"]) for one in moments] == [
        (PARTY, 0.0),
        (PARTY, 6.0),
        (HOLIDAY, 0.0),
        (HOLIDAY, 6.0),
    ]
    assert "11 pairs" in refused(server, "look_at_time", video="party.mp4", at_s=list(range(11)))


def test_objects_are_found_in_stretches_with_their_frames(server: MCPServer[Any]) -> None:
    [video] = told(server, "find_objects", class_name="cat")["videos"]
    assert video["source"]["video_id"] == PARTY
    assert [(one["start_s"], one["end_s"]) for one in video["intervals"]] == [(2.0, 6.0), (12.0, 14.0)]
    assert [one["first"]["frame_index"] for one in video["intervals"]] == [1, 6]
    [later] = told(server, "find_objects", class_name="cat", from_s=7)["videos"]
    assert [one["start_s"] for one in later["intervals"]] == [12.0]
    [together] = told(server, "find_objects", class_name=["dog", "horse"], video="holiday.mp4")["videos"]
    assert [(one["start_s"], one["end_s"]) for one in together["intervals"]] == [(0.0, 8.0)]
    nothing = call(server, "find_objects", class_name="zebra")
    assert nothing.structured_content["videos"] == []
    assert "saw no zebra" in text_of(nothing)


def test_what_is_said_is_found_by_its_words(server: MCPServer[Any]) -> None:
    found = call(server, "search", text="money", mode="keyword")
    [answer] = found.structured_content["answers"]
    best = answer["hits"][0]
    assert (best["source"]["video_id"], best["kind"], best["start_s"]) == (PARTY, "segment", 1.5)
    assert best["evidence"]["frame_index"] == 0
    assert "0:01–0:02 (1.5–2.8 s)" in text_of(found)
    several = told(server, "search", text=["money", "picture"], mode="keyword", kinds=["segment"], video="party.mp4")
    assert [one["text"] for one in several["answers"]] == ["money", "picture"]
    assert several["answers"][1]["hits"] == []


@pytest.mark.parametrize("table", ["frames", "captions", "segments", "detections"])
def test_every_table_is_read_in_order(server: MCPServer[Any], table: str) -> None:
    [page] = told(server, "read_rows", video="holiday.mp4", table=table)["pages"]
    assert len(page[table]) == {"frames": 4, "captions": 4, "segments": 3, "detections": 8}[table]
    assert [name for name in ("frames", "captions", "segments", "detections") if page[name] is not None] == [table]
    assert page["next_cursor"] is None


def test_rows_are_of_a_stretch_a_class_and_of_several_videos(server: MCPServer[Any]) -> None:
    [page] = told(server, "read_rows", video="holiday.mp4", table="detections", class_name="dog", from_s=2, to_s=4)[
        "pages"
    ]
    assert [(one["frame_index"], one["class_name"]) for one in page["detections"]] == [(1, "dog"), (2, "dog")]
    pages = told(server, "read_rows", video=["holiday.mp4", "party.mp4"], table="segments")["pages"]
    assert [one["source"]["video_id"] for one in pages] == [HOLIDAY, PARTY]
    assert "goes with the table" in refused(server, "read_rows", video="holi", table="frames", class_name="dog")


def test_a_picture_is_small_and_the_right_one(server: MCPServer[Any], home: Path) -> None:
    found = call(server, "show_frame", video="party.mp4", frame_index=6)
    [picture] = pictures_of(found)
    assert difference(picture, 6) < 12
    data = found.structured_content
    assert (data["width"], data["height"], data["shown_width"], data["shown_height"]) == (1600, 1200, 768, 576)
    assert len(picture) < 200_000
    nearest = call(server, "show_frame", video="party.mp4", at_s=12.3, longest_side=200)
    assert nearest.structured_content["evidence"]["frame_index"] == 6
    assert nearest.structured_content["shown_width"] == 200
    small = call(server, "show_frame", video="holiday.mp4", frame_index=2)
    path = home / small.structured_content["evidence"]["image_path"]
    assert pictures_of(small) == [path.read_bytes()]
    assert "time or by its index" in refused(server, "show_frame", video="party.mp4")


def test_a_frame_is_a_resource_too(server: MCPServer[Any]) -> None:
    async def read() -> bytes:
        async with Client(server) as client:
            [found] = (await client.read_resource(f"bri://videos/{PARTY}/frames/2")).contents
            return base64.b64decode(found.blob)

    assert difference(anyio.run(read), 2) < 12


def test_rows_are_counted_by_video_and_in_all(server: MCPServer[Any]) -> None:
    found = told(server, "count_rows")
    assert [one["source"]["video_id"] for one in found["videos"]] == [HOLIDAY, PARTY]
    assert (found["total_videos"], found["total_frames"], found["total_detections"]) == (2, 12, 11)
    assert found["incomplete_videos"] == 0
    [one] = told(server, "count_rows", videos="party.mp4")["videos"]
    assert (one["frames"], one["captions"], one["transcript_segments"], one["detections"]) == (8, 8, 3, 3)
    assert [one["frames"] for one in told(server, "count_rows", after=HOLIDAY)["videos"]] == [8]


def test_an_unknown_video_is_told_with_names_like_it(server: MCPServer[Any]) -> None:
    said = refused(server, "describe_video", video="holliday.mp4")
    assert "holliday.mp4" in said
    assert f"holiday.mp4 ({HOLIDAY})" in said
    assert PARTY not in said
    assert "Videos with such names" not in refused(server, "describe_video", video="zzzzzzzzzzzz")


def test_wrong_arguments_are_told_by_name_and_not_repeated(server: MCPServer[Any]) -> None:
    said = refused(server, "read_rows", video="party.mp4", table="secrets", limit=10_000)
    assert "table" in said
    assert "limit" in said
    assert "10000" not in said
    assert "pydantic" not in said
    assert "longer" not in refused(server, "look_at_time", video="party.mp4", at_s=-1)
    assert "16" in refused(server, "look_at_time", video="party.mp4", at_s=500)
    assert "cursor" in refused(server, "list_videos", cursor="nonsense").lower()
    assert "frame" in refused(server, "show_frame", video="party.mp4", frame_index=99)
    assert "blank" in refused(server, "remember", conversation_id="c", user=" ", assistant="a")


def test_a_picture_that_was_changed_is_never_shown(tmp_path: Path) -> None:
    _commit(tmp_path, _video(tmp_path, HOLIDAY, 4))
    server = build_mcp(Services.of(Settings(home=tmp_path)))
    path = tmp_path / told(server, "show_frame", video="holi", frame_index=1)["evidence"]["image_path"]
    path.write_bytes(b"another picture")
    said = refused(server, "show_frame", video="holi", frame_index=1)
    assert "not the image that was committed" in said
    path.unlink()
    assert "cannot be read" in refused(server, "look_at_time", video="holi", at_s=2, with_image=True)
    assert told(server, "look_at_time", video="holi", at_s=2)["moments"]


def test_turns_are_remembered_recalled_and_forgotten(tmp_path: Path) -> None:
    _commit(tmp_path, _video(tmp_path, HOLIDAY, 4))
    server = build_mcp(Services.of(Settings(home=tmp_path)))
    assert told(server, "recall") == {"messages": [], "total": 0, "next_cursor": None, "note": None}
    kept = told(server, "remember", conversation_id="c1", user="Where is the dog?", assistant="0:00", video="holi")
    again = {"conversation_id": "c2", "user": "And who?", "assistant": "A horse.", "turn_id": "t-2"}
    assert told(server, "remember", **again) == told(server, "remember", **again)
    assert [one["content"] for one in told(server, "recall")["messages"]] == [
        "Where is the dog?",
        "0:00",
        "And who?",
        "A horse.",
    ]
    about = told(server, "recall", video="holiday.mp4")
    assert [(one["role"], one["video_id"]) for one in about["messages"]] == [("user", HOLIDAY), ("assistant", HOLIDAY)]
    assert about["total"] == 2
    assert [one["message_id"] for one in about["messages"]] == kept["message_ids"]
    assert [one["content"] for one in told(server, "recall", conversation_id="c2", last=1)["messages"]] == ["A horse."]
    assert "neither" in refused(server, "forget")
    assert told(server, "forget", conversation_id="c2")["messages"] == 2
    assert told(server, "recall")["total"] == 2
    assert told(server, "forget", video="holi")["messages"] == 2
    assert told(server, "recall")["messages"] == []
    [message_id, _] = kept["message_ids"]
    assert "no such message" in refused(server, "recall", message_id=message_id)


def test_a_long_conversation_is_read_in_pieces_without_a_gap(tmp_path: Path) -> None:
    operations(Store, tmp_path)
    server = build_mcp(Services.of(Settings(home=tmp_path)))
    long = "".join(f"{number:05d} " for number in range(3_000))
    for number in range(20):
        told(server, "remember", conversation_id="c", user=f"question {number}", assistant=f"{number} {long}")
    pages, cursor = [], None
    while not pages or cursor:
        page = told(server, "recall", conversation_id="c", from_start=True, cursor=cursor)
        pages, cursor = [*pages, page], page["next_cursor"]
    assert len(pages) > 1
    told_in_order = [one["content"][:15] for page in pages for one in page["messages"]]
    assert told_in_order == [text[:15] for number in range(20) for text in (f"question {number}", f"{number} {long}")]
    last = pages[-1]["messages"][-1]
    assert (last["characters"], last["next_character"] is not None) == (len(f"19 {long}"), True)
    read, begin = "", 0
    while begin is not None:
        [piece] = told(server, "recall", message_id=last["message_id"], from_character=begin)["messages"]
        read, begin = read + piece["content"], piece["next_character"]
    assert read == f"19 {long}"


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> MCPServer[Any]:
    """More than an hour: 2,000 frames, a dog in every other one of them, and speech all along."""
    home, frames = tmp_path_factory.mktemp("long"), 2_000
    tables = stretched(rows(home, video_id=HOLIDAY), frames)
    for row in tables["captions"]:
        row["text"] = f"number {row['frame_index']}: a long street with houses, trees and many people who walk along it"
    for row in tables["frames"]:
        row["phash"] = "00ff00ff00ff00ff" if row["frame_index"] // 6 % 2 else "ff00ff00ff00ff00"
    spoken = tables["transcripts"][0]
    tables["transcripts"] = [
        {
            **spoken,
            "segment_index": n,
            "start_s": 3.0 * n,
            "end_s": 3.0 * n + 2.5,
            "text": f"sentence number {n} of many",
        }
        for n in range(1_300)
    ]
    tables["detections"] = [row for row in tables["detections"] if row["frame_index"] % 4 < 2]
    _commit(home, tables)
    return build_mcp(Services.of(Settings(home=home)))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_videos", {}),
        ("describe_video", {}),
        ("look_at_time", {"at_s": 2_000, "within_s": 600}),
        ("look_at_time", {"at_s": [100 * n for n in range(10)], "within_s": 60}),
        ("find_objects", {"class_name": "dog"}),
        ("search", {"text": "street with houses", "mode": "keyword", "limit": 50}),
        ("search", {"text": ["street", "houses", "people", "sentence", "trees"], "mode": "keyword", "limit": 50}),
        ("read_rows", {"table": "frames", "limit": 200}),
        ("read_rows", {"table": "captions", "limit": 200}),
        ("read_rows", {"table": "segments", "limit": 200}),
        ("read_rows", {"table": "detections", "limit": 200}),
        ("count_rows", {}),
    ],
)
def test_an_answer_about_a_long_video_fits(long_video: MCPServer[Any], tool: str, arguments: dict[str, Any]) -> None:
    named = {} if tool in ("list_videos", "count_rows") else {"video": "holiday"}
    data = told(long_video, tool, **named, **arguments)
    if tool not in ("list_videos", "count_rows"):
        assert data["note"], "what is left out is told"


def test_frames_of_a_long_video_are_read_page_by_page_each_once(long_video: MCPServer[Any]) -> None:
    seen, cursor = [], None
    while not seen or cursor:
        data = told(long_video, "read_rows", video="holi", table="frames", from_s=3_000, limit=60, cursor=cursor)
        [page] = data["pages"]
        cursor = page["next_cursor"]
        seen += [one["evidence"]["frame_index"] for one in page["frames"]]
        assert (data["note"] is not None) == (cursor is not None)
    assert seen == list(range(1_500, 2_000))


def test_stretches_and_scenes_that_do_not_fit_are_got_by_time(long_video: MCPServer[Any]) -> None:
    seen, from_s = [], 0.0
    while from_s is not None:
        [video] = told(long_video, "find_objects", class_name="dog", from_s=from_s)["videos"]
        seen += [one["start_s"] for one in video["intervals"]]
        from_s = video["next_from_s"]
    assert seen == [8.0 * n for n in range(200)]
    assert video["cut"]
    scenes, from_s = [], 0.0
    while from_s is not None:
        [video] = told(long_video, "describe_video", video="holi", from_s=from_s)["videos"]
        scenes += [one["scene_index"] for one in video["scenes"]]
        from_s = video["next_from_s"]
    assert scenes == list(range(200))
    assert video["cut"]


def test_a_large_library_is_listed_and_counted_page_by_page(tmp_path: Path) -> None:
    videos = [f"{'a-long-name-' * 7}{number:02d}-{number:012d}" for number in range(28)]
    for video_id in videos:
        _commit(tmp_path, rows(tmp_path, frames=3, video_id=video_id, sha256=sha256_bytes(video_id.encode())))
    server = build_mcp(Services.of(Settings(home=tmp_path)))
    listed: list[str] = []
    cursor, after = None, None
    while not listed or cursor:
        page = told(server, "list_videos", limit=100, cursor=cursor)
        cursor = page["next_cursor"]
        assert (page["note"] is None) == (cursor is None)
        listed += [one["video_id"] for one in page["items"]]
    assert listed == videos[::-1]
    counted: list[str] = []
    while not counted or after:
        page = told(server, "count_rows", after=after)
        after = page["next_after"]
        assert page["total_videos"] == 28
        counted += [one["source"]["video_id"] for one in page["videos"]]
    assert counted == videos
    assert told(server, "describe_video", video=videos[:10])["videos"]
    assert told(server, "find_objects", class_name="dog", limit=50)["note"]


def test_times_are_told_in_both_forms() -> None:
    assert [clock(0), clock(59.96), clock(60), clock(3723.5)] == ["0:00", "0:59", "1:00", "1:02:03"]
    assert at(45.5) == "0:45 (45.5 s)"
    assert span(12, 31.5) == "0:12–0:31 (12.0–31.5 s)"
    assert span(12, 12) == "0:12 (12.0 s)"


def test_the_page_for_agents_names_every_tool(server: MCPServer[Any]) -> None:
    headings = re.findall(r"^### `(\w+)`", (ROOT / "docs" / "agents.md").read_text(), re.MULTILINE)
    assert headings == [tool.name for tool in anyio.run(server.list_tools)]
