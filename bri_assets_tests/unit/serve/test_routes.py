"""Every route of reads: what it answers, over a real store, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bri_assets.files import sha256_bytes
from bri_assets.serve.answers.questions import READS
from bri_assets.store import Store
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets.store.memory import Memory
from bri_assets.store.queries.queries import Queries
from bri_assets_tests.apis import Api, api
from bri_assets_tests.bundles import Rows, operations, rows, stage
from bri_assets_tests.pictures import difference, with_pictures

HOLIDAY, PARTY, NOBODY = "holiday-000000000001", "party-000000000002", "nobody-000000000000"


def video(home: Path, video_id: str, frames: int) -> Rows:
    tables = rows(home, frames=frames, video_id=video_id, sha256=sha256_bytes(video_id.encode()))
    tables["source_video"][0]["filename"] = f"{video_id.partition('-')[0]}.mp4"
    return with_pictures(home, tables)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Two videos: ``holiday`` of 8 s, and ``party`` of 16 s with a cat in two stretches; not to be changed."""
    home = tmp_path_factory.mktemp("routes")
    party = video(home, PARTY, 8)
    party["transcripts"][1]["text"] = "we talk about money here"
    cats = [{**row, "class_id": 15, "class_name": "cat"} for row in party["detections"] if row["detection_index"] == 0]
    party["detections"] = [row for row in cats if row["frame_index"] in (1, 2, 6)]
    for tables in (video(home, HOLIDAY, 4), party):
        operations(Store, home).commit(stage(home, tables), run_id="run-1", channel="test")
    with api(home) as found:
        yield found


# What is answered.


def test_the_library_has_the_newest_first_and_pages(made: Api) -> None:
    assert [one["video_id"] for one in made.get("/videos")["items"]] == [PARTY, HOLIDAY]
    first = made.get("/videos", limit=1)
    second = made.get("/videos", limit=1, cursor=first["next_cursor"])
    assert [first["items"][0]["video_id"], second["items"][0]["video_id"]] == [PARTY, HOLIDAY]
    assert [one["video_id"] for one in made.get("/videos", class_name="cat")["items"]] == [PARTY]
    assert [one["video_id"] for one in made.get("/videos", text="money")["items"]] == [PARTY]
    assert made.get("/videos", state="deleted")["items"] == []


def test_a_video_goes_by_its_names(made: Api) -> None:
    for name in (HOLIDAY, "holi", "holiday.mp4"):
        assert made.get("/videos/resolve", name=name) == {"name": name, "video_id": HOLIDAY}
    assert made.refused("/videos/resolve", name="nothing.mp4") == (404, "video_not_found")


def test_facts_and_counts(made: Api) -> None:
    facts = made.get(f"/videos/{HOLIDAY}")
    assert facts["source"] == {"video_id": HOLIDAY, "filename": "holiday.mp4", "version": 1, "version_id": 1}
    assert (facts["duration_s"], facts["frames"], facts["detections"]) == (8.0, 4, 8)
    counts = {one["source"]["video_id"]: one for one in made.get("/videos/counts")}
    assert counts.keys() == {HOLIDAY, PARTY}
    assert counts[PARTY]["frames"] == counts[PARTY]["captions"] == 8
    assert counts[PARTY]["complete"] is True


def test_around_a_time(made: Api) -> None:
    around = made.get(f"/videos/{HOLIDAY}/around", at_s=2.1, within_s=1)
    assert around["nearest"]["evidence"]["frame_index"] == 1
    assert [one["text"] for one in around["segments"]] == ["words 0", "words 1", "words 2"]
    assert {one["class_name"] for one in around["detections"]} == {"dog", "horse"}
    said = made.get(f"/videos/{HOLIDAY}/segment", at_s=2.0)
    assert (said["segment"]["text"], said["before"]["text"]) == ("words 1", "words 0")


@pytest.mark.parametrize("rows_of", ["frames", "captions", "segments", "detections"])
def test_rows_page_by_page(made: Api, rows_of: str) -> None:
    path, found, cursor = f"/videos/{HOLIDAY}/{rows_of}", [], None
    while True:
        page = made.get(path, limit=2, **({"cursor": cursor} if cursor else {}))
        assert page["source"]["video_id"] == HOLIDAY
        assert 0 < len(page["items"]) <= 2
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == made.get(path)["items"]
    assert len(found) == {"frames": 4, "captions": 4, "segments": 3, "detections": 8}[rows_of]


def test_rows_of_a_stretch_and_of_a_class(made: Api) -> None:
    captions = made.get(f"/videos/{HOLIDAY}/captions", from_s=2, to_s=4)["items"]
    assert [one["evidence"]["timestamp_s"] for one in captions] == [2.0, 4.0]
    dogs = made.get(f"/videos/{HOLIDAY}/detections", class_name="dog")["items"]
    assert {one["class_name"] for one in dogs} == {"dog"}
    assert len(dogs) == 4


def test_a_frame_and_its_image(made: Api) -> None:
    frame = made.get(f"/videos/{HOLIDAY}/frames/2")
    evidence = frame["frame"]["evidence"]
    assert evidence["image_url"] == f"/v1/videos/{HOLIDAY}/frames/2/image?version_id=1"
    image = made.client.get(evidence["image_url"])
    assert image.status_code == 200
    assert image.headers["content-type"] == "image/jpeg"
    assert "immutable" in image.headers["cache-control"]
    assert sha256_bytes(image.content) == evidence["image_sha256"]
    assert difference(image.content, 2) < 20
    unpinned = made.client.get(f"/v1/videos/{HOLIDAY}/frames/2/image")
    assert unpinned.content == image.content
    assert unpinned.headers["cache-control"] == "private, no-cache"
    same = made.client.get(evidence["image_url"], headers={"If-None-Match": image.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert made.refused(f"/videos/{HOLIDAY}/frames/99") == (404, "frame_not_found")
    assert made.refused(f"/videos/{HOLIDAY}/frames/99/image") == (404, "frame_not_found")
    assert made.refused(f"/videos/{HOLIDAY}/frames/1", version_id=77) == (404, "version_not_found")


def test_objects_alone_and_together(made: Api) -> None:
    (cat,) = made.get(f"/videos/{PARTY}/objects", class_name="cat")["items"]
    assert [(one["start_s"], one["end_s"]) for one in cat["intervals"]] == [(2.0, 6.0), (12.0, 14.0)]
    assert cat["intervals"][0]["best"]["image_url"].startswith(f"/v1/videos/{PARTY}/frames/")
    anywhere = made.get("/objects", class_name="dog")
    assert [one["source"]["video_id"] for one in anywhere["items"]] == [HOLIDAY]
    together = made.get("/objects", class_name=["dog", "horse"])["items"]
    assert [one["class_names"] for one in together] == [["dog", "horse"]]
    assert made.get("/objects", class_name=["dog", "cat"])["items"] == []
    assert made.get(f"/videos/{HOLIDAY}/objects", class_name="cat")["items"] == []


def test_a_timeline(made: Api) -> None:
    timeline = made.get(f"/videos/{HOLIDAY}/timeline")
    assert timeline["scenes"][0]["start_s"] == 0.0
    assert timeline["scenes"][-1]["end_s"] == 8.0
    assert "image_url" in timeline["scenes"][0]["evidence"]


def test_a_search_by_address_and_by_body(made: Api) -> None:
    asked = {"text": "money", "mode": "keyword", "kinds": ["segment"]}
    found = made.get("/search", **asked)
    assert [hit["source"]["video_id"] for hit in found["hits"]] == [PARTY]
    assert found["hits"][0]["evidence"]["image_url"].startswith(f"/v1/videos/{PARTY}/frames/")
    assert made.post("/search", asked) == found
    assert made.refused("/search", text="money", video_ids=[NOBODY]) == (404, "video_not_found")


def test_many_at_once_are_each_as_alone(made: Api) -> None:
    both = [HOLIDAY, PARTY]
    alone = {
        "facts": [made.get(f"/videos/{one}") for one in both],
        "counts": list(reversed(made.get("/videos/counts"))),
        "timelines": [made.get(f"/videos/{one}/timeline") for one in both],
        "around": [made.get(f"/videos/{one}/around", at_s=2) for one in both],
        "segments_at": [made.get(f"/videos/{one}/segment", at_s=2) for one in both],
        **{
            name: [made.get(f"/videos/{one}/{name}", limit=2) for one in both]
            for name in ("frames", "captions", "segments", "detections")
        },
        "objects": [made.get("/objects", class_name="cat"), made.get(f"/videos/{HOLIDAY}/objects", class_name="dog")],
        "search": [made.get("/search", text=text, mode="keyword") for text in ("money", "words")],
    }
    asked: dict[str, list[Any]] = {
        **dict.fromkeys(("facts", "counts", "timelines"), both),
        **{key: [{"video_id": one, "at_s": 2} for one in both] for key in ("around", "segments_at")},
        **{
            key: [{"video_id": one, "limit": 2} for one in both]
            for key in ("frames", "captions", "segments", "detections")
        },
        "objects": [{"class_names": ["cat"]}, {"class_names": ["dog"], "video_ids": [HOLIDAY], "limit": 1}],
        "search": [{"text": text, "mode": "keyword"} for text in ("money", "words")],
    }
    for name, items in asked.items():
        assert made.post(f"/batch/{name}", {"items": items}) == {"items": alone[name]}, name


def test_answers_say_where_they_came_from_and_need_not_travel_twice(made: Api) -> None:
    path = f"/v1/videos/{HOLIDAY}/captions?limit=3"
    first, second = made.client.get(path), made.client.get(path)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("store", "process")
    assert first.headers["etag"] == second.headers["etag"]
    for tags in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        same = made.client.get(path, headers={"If-None-Match": tags})
        assert (same.status_code, same.content) == (304, b"")
    assert made.client.get(path, headers={"If-None-Match": '"x"'}).status_code == 200


# What is refused.


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/timeline",
        "/around?at_s=1",
        "/segment?at_s=1",
        "/frames",
        "/captions",
        "/segments",
        "/detections",
        "/frames/0",
        "/frames/0/image",
        "/objects?class_name=dog",
        "/messages",
        "/messages/count",
    ],
)
def test_a_video_that_nobody_knows_is_not_found(made: Api, path: str) -> None:
    assert made.refused(f"/videos/{NOBODY}{path}") == (404, "video_not_found")


@pytest.mark.parametrize(
    "path",
    [
        "/videos/no-id",
        "/videos?limit=0",
        "/videos?limit=201",
        "/videos?state=lost",
        "/videos?arrived_after=yesterday",
        "/videos?nonsense=1",
        "/videos/resolve",
        f"/videos/{HOLIDAY}/around",
        f"/videos/{HOLIDAY}/around?at_s=-1",
        f"/videos/{HOLIDAY}/around?at_s=1e9",
        f"/videos/{HOLIDAY}/around?at_s=1&within_s=601",
        f"/videos/{HOLIDAY}/around?at_s=inf",
        f"/videos/{HOLIDAY}/segment?at_s=nan",
        f"/videos/{HOLIDAY}/frames?from_s=5&to_s=1",
        f"/videos/{HOLIDAY}/frames?limit=501",
        f"/videos/{HOLIDAY}/frames?class_name=dog",
        f"/videos/{HOLIDAY}/captions?to_s=inf",
        f"/videos/{HOLIDAY}/frames/-1",
        f"/videos/{HOLIDAY}/frames/4294967296",
        f"/videos/{HOLIDAY}/frames/0?version_id=0",
        "/objects",
        "/objects?class_name=dog&min_confidence=2",
        f"/objects?{'&'.join(f'class_name=c{number}' for number in range(11))}",
        "/search?text=",
        f"/search?text={'x' * 501}",
        "/search?text=x&mode=magic",
        "/search?text=x&limit=51",
        "/messages/0",
        "/messages/x",
        "/conversations/a%20b/messages",
        "/conversations/c/messages?last=0",
    ],
)
def test_what_cannot_be_is_refused(made: Api, path: str) -> None:
    status, code = made.refused(path)
    assert (status, code) in {(422, "request_wrong"), (422, "range_wrong")}


@pytest.mark.parametrize("cursor", ["x", "e30=", "W10", "../../etc/passwd"])
def test_a_cursor_that_was_not_given_out_is_refused(made: Api, cursor: str) -> None:
    paths = [f"/videos/{HOLIDAY}/captions", "/videos", "/conversations/c/messages"]
    for path in paths:
        assert made.refused(path, cursor=cursor) == (400, "cursor_wrong")
    assert made.refused("/objects", class_name="dog", cursor=cursor) == (400, "cursor_wrong")


def test_a_cursor_of_another_question_is_refused(made: Api) -> None:
    cursor = made.get(f"/videos/{HOLIDAY}/captions", limit=2)["next_cursor"]
    assert made.refused(f"/videos/{PARTY}/captions", limit=2, cursor=cursor) == (400, "cursor_wrong")
    assert made.refused(f"/videos/{HOLIDAY}/frames", limit=2, cursor=cursor) == (400, "cursor_wrong")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/batch/facts", {"items": []}),
        ("/batch/facts", {"items": [HOLIDAY] * 101}),
        ("/batch/facts", {"items": ["no-id"]}),
        ("/batch/facts", {"items": [HOLIDAY], "more": 1}),
        ("/batch/facts", [HOLIDAY]),
        ("/batch/around", {"items": [{"video_id": HOLIDAY}]}),
        ("/batch/around", {"items": [{"video_id": HOLIDAY, "at_s": 1e9}]}),
        ("/batch/captions", {"items": [{"video_id": HOLIDAY, "limit": 500}] * 21}),
        ("/batch/objects", {"items": [{"class_names": []}]}),
        ("/batch/search", {"items": [{"text": ""}]}),
        ("/search", {"text": "x", "nonsense": 1}),
    ],
)
def test_a_body_that_cannot_be_is_refused(made: Api, path: str, body: Any) -> None:
    found = made.client.post(f"/v1{path}", json=body)
    assert found.status_code == 422, found.text
    assert found.json()["code"] in ("request_wrong", "range_wrong")


def test_one_unknown_video_among_many_is_named(made: Api) -> None:
    found = made.client.post("/v1/batch/facts", json={"items": [HOLIDAY, NOBODY]})
    assert found.status_code == 404
    assert NOBODY in found.json()["detail"]


# What changes.


def test_what_is_shown_is_what_is_answered(tmp_path: Path) -> None:
    home = tmp_path / "data"
    operations(Store, home).commit(stage(home, video(home, HOLIDAY, 4)), run_id="run-1", channel="test")
    with api(home) as made:
        first = made.get(f"/videos/{HOLIDAY}/captions")
        etag = made.client.get(f"/v1/videos/{HOLIDAY}/captions").headers["etag"]
        image = first["items"][0]["evidence"]["image_url"]
        again = video(home, HOLIDAY, 5)
        store = made.services.group(Store)
        assert store.commit(stage(home, again), run_id="run-2", channel="test").version == 2
        changed = made.client.get(f"/v1/videos/{HOLIDAY}/captions", headers={"If-None-Match": etag})
        assert changed.status_code == 200
        assert len(changed.json()["items"]) == 5
        assert made.client.get(image).status_code == 200, "the image of version 1 is still that"
        made.services.group(History).rollback(HOLIDAY, 1, channel="test")
        assert made.get(f"/videos/{HOLIDAY}/captions") == first
        made.services.group(Deletion).delete(HOLIDAY, channel="test")
        for path in (f"/videos/{HOLIDAY}/captions", image.removeprefix("/v1")):
            assert made.refused(path)[0] == 404
        assert made.get("/videos/counts") == []


def test_an_image_that_was_changed_or_lost_is_not_sent(tmp_path: Path) -> None:
    home = tmp_path / "data"
    operations(Store, home).commit(stage(home, video(home, HOLIDAY, 4)), run_id="run-1", channel="test")
    with api(home) as made:
        one, two = (made.get(f"/videos/{HOLIDAY}/frames/{index}")["frame"]["evidence"] for index in (0, 1))
        (home / one["image_path"]).write_bytes(b"another picture")
        (home / two["image_path"]).unlink()
        for evidence in (one, two):
            found = made.client.get(evidence["image_url"])
            assert found.json()["code"] == "image_damaged"
            assert found.status_code >= 500


# The document.


def test_the_document_names_every_read_the_search_and_the_memory(made: Api) -> None:
    document = made.client.get("/openapi.json").json()
    named = {one["operationId"] for path in document["paths"].values() for one in path.values()}
    routes = {
        Queries: {
            "resolve": {"resolve_video"},
            "facts": {"get_video", "batch_facts"},
            "counts": {"count_rows", "batch_counts"},
            "around": {"look_around", "batch_around"},
            "segments_at": {"get_segment_at", "batch_segments_at"},
            "frames": {"list_frames", "batch_frames"},
            "captions": {"list_captions", "batch_captions"},
            "segments": {"list_segments", "batch_segments"},
            "detections": {"list_detections", "batch_detections"},
            "frame": {"get_frame", "get_frame_image"},
            "objects": {"find_objects", "find_objects_in_video", "batch_objects"},
            "scenes": {"get_timeline", "batch_timelines"},
            "library": {"list_videos"},
            # What the cache and the search ask, and no agent.
            **{
                key: set()
                for key in (
                    "state",
                    "texts",
                    "texts_like",
                    "visible",
                    "versions_of",
                    "shown_versions",
                    "evidence",
                )
            },
        },
        Memory: {
            "add": {"add_turn"},
            **{key: {"list_messages", "list_messages_about_video"} for key in ("last", "latest", "page", "pages")},
            **{key: {"get_message"} for key in ("message", "messages")},
            **{key: {"count_messages", "count_messages_about_video"} for key in ("count", "counts")},
            "wipe": {"wipe_conversation", "wipe_messages_about_video"},
            "expire": set(),  # upkeep
        },
    }
    for group, routed in routes.items():
        methods = {name for name in vars(group) if not name.startswith("_")}
        assert methods == routed.keys(), f"a method of {group.__name__} has no route, and no reason for that"
        assert set().union(*routed.values()) <= named
    assert {"search", "search_by_body", "batch_search"} <= named
    assert len(READS) == 15


def test_the_document_describes_what_it_names(made: Api) -> None:
    document = made.client.get("/openapi.json").json()
    ours = [
        (path, method, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
        if set(told.get("tags", [])) & {"videos", "objects", "search", "batch", "memory"}
    ]
    assert len(ours) > 30
    for path, method, told in ours:
        assert told["description"], path
        assert "_" not in told["summary"]
        good = told["responses"].get("200") or told["responses"]["201"]
        assert good["content"], path
        assert "422" in told["responses"]
        for parameter in told.get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("title"), (path, method, parameter)
    assert "image_url" in document["components"]["schemas"]["ServedEvidence"]["properties"]
