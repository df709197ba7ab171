"""How far an upload is: notes of the stages that work, and streams that tell each state once and end with the last."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sse_starlette import EventSourceResponse

from bri_assets.progress import FOLDER, looked_at, mark_look, note_count, notes, noting
from bri_assets.schemas import STAGED_TABLES
from bri_assets.serve.progress import nobody_looks
from bri_assets.settings import Settings
from bri_assets.store import NewUpload
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, rows, stage
from bri_assets_tests.unit.serve.listening import Listening, eventually, listening

UPLOAD = NewUpload("/uploads/holiday.mp4", "holiday.mp4", "1-2-3-4-5", 1000, SOURCE_SHA256, VIDEO_ID)
URL = f"/v1/uploads/{UPLOAD.upload_id}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def client(server: Listening) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


class Followed:
    """A stream that is read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response, self._lines = response, response.iter_lines()

    def next(self) -> dict[str, Any] | None:
        """The next event: its `event`, `id` and `data`; None where the stream has ended."""
        found: dict[str, Any] = {}
        for line in self._lines:
            if not line and "data" in found:
                return found
            name, _, value = line.partition(": ")
            if name in ("event", "id"):
                found[name] = value
            elif name == "data":
                found["data"] = json.loads(value)
        return None

    def until(self, *, event: str = "progress", **stages: str) -> dict[str, Any]:
        """Read on until some stages are so."""
        while True:
            found = self.next()
            assert found is not None, f"the stream ended before {event} {stages}"
            seen = {one["stage"]: one["state"] for one in found["data"].get("stages", ())}
            if found["event"] == event and all(seen[name] == state for name, state in stages.items()):
                return found


@contextmanager
def following(client: httpx.Client, url: str, last: str | None = None) -> Iterator[Followed]:
    """Open a stream."""
    headers = {"Last-Event-ID": last} if last is not None else {}
    with client.stream("GET", f"{url}/events", headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Followed(response)


def stage_of(event: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in event["data"]["stages"] if one["stage"] == name)
    return found


def claim(server: Listening) -> None:
    server.store.claim(UPLOAD, requested_by="api/ada")


def test_a_stream_tells_of_every_stage_and_ends_with_the_commit(server: Listening, client: httpx.Client) -> None:
    claim(server)
    home = server.settings.home
    with following(client, URL) as followed:
        first = followed.next()
        assert first is not None
        assert (first["event"], first["data"]["upload"]["state"]) == ("progress", "waiting")
        assert {one["state"] for one in first["data"]["stages"]} == {"waiting"}
        with noting(home, VIDEO_ID, "frames", "run-1"):
            running = followed.until(frames="running")
            assert running["data"]["upload"]["state"] == "ingesting"
            assert stage_of(running, "frames")["begun_at"] is not None
            note_count(home, VIDEO_ID, "frames", 3, 4)
            while stage_of(running, "frames")["done"] is None:
                running = followed.until(frames="running")
            assert (stage_of(running, "frames")["done"], stage_of(running, "frames")["total"]) == (3, 4)
            bundle = stage(home, rows(home))
        done = followed.until(frames="done", captions="done", transcripts="done", detections="done")
        for table, manifest in bundle.manifests.items():
            assert stage_of(done, table)["rows"] == manifest.row_count
        server.store.commit(bundle, run_id="run-1", channel="pipeline")
        last = followed.until(event="committed", committed_video="done", **dict.fromkeys(STAGED_TABLES, "done"))
        assert (last["data"]["upload"]["version"], last["data"]["final"]) == (1, True)
        assert followed.next() is None


@pytest.mark.parametrize("outcome", ["failed", "quarantined", "deleted"])
def test_a_stream_ends_with_what_else_becomes_of_an_upload(
    server: Listening, client: httpx.Client, outcome: str
) -> None:
    claim(server)
    with following(client, URL) as followed:
        assert followed.next() is not None
        if outcome == "failed":
            server.store.mark_failed(VIDEO_ID, run_id=None, channel="runs", code="model_failed", reason="it broke")
        elif outcome == "quarantined":
            server.store.quarantine(UPLOAD, code="truncated", reason="it broke", requested_by="sensor")
        else:
            home = server.settings.home
            server.store.commit(stage(home, rows(home)), run_id="run-1", channel="pipeline")
            server.group(Deletion).delete(VIDEO_ID, channel="cli")
        last = followed.next()
        while last is not None and last["event"] in ("progress", "committed"):
            last = followed.next()
        if outcome == "deleted":
            # Committed and deleted between two looks, or in two events: the stream is over either way.
            assert last is None or last["event"] == outcome
        else:
            assert last is not None
            assert (last["event"], last["data"]["upload"]["reason"]) == (outcome, "it broke")
            assert followed.next() is None
    assert client.get(URL).json()["upload"]["state"] == outcome


def test_a_video_is_followed_by_its_id(server: Listening, client: httpx.Client) -> None:
    claim(server)
    with following(client, f"/v1/videos/{VIDEO_ID}") as followed:
        found = followed.next()
        assert found is not None
        assert found["data"]["upload"]["upload_id"] == UPLOAD.upload_id
        server.store.mark_failed(VIDEO_ID, run_id=None, channel="runs", code="model_failed", reason="it broke")
        assert followed.until(event="failed")


def test_who_connects_again_is_told_what_changed_and_no_more(server: Listening, client: httpx.Client) -> None:
    claim(server)
    with following(client, URL) as followed:
        first = followed.next()
    assert first is not None
    home = server.settings.home
    with following(client, URL, last=first["id"]) as followed, noting(home, VIDEO_ID, "captions", "run-1"):
        second = followed.next()
        assert second is not None
        assert stage_of(second, "captions")["state"] == "running"
    server.store.mark_failed(VIDEO_ID, run_id=None, channel="runs", code="model_failed", reason="it broke")
    # What was missed in between is in the one event that there is.
    with following(client, URL, last=second["id"]) as followed:
        third = followed.next()
        assert followed.next() is None
    assert third is not None
    assert third["event"] == "failed"
    numbers = [int(event["id"].partition("-")[0]) for event in (first, second, third)]
    assert numbers == sorted(set(numbers))
    # 204 tells a browser to stop connecting again.
    assert client.get(f"{URL}/events", headers={"Last-Event-ID": third["id"]}).status_code == 204


@pytest.mark.parametrize("last", ["", "nonsense", "99999999999999999999-x", "-", "12-ab\tc"])
def test_an_id_that_was_never_given_out_is_none(server: Listening, client: httpx.Client, last: str) -> None:
    claim(server)
    with following(client, URL, last=last) as followed:
        assert followed.next() is not None


def test_numbers_grow_though_the_clock_was_set_back(server: Listening, client: httpx.Client) -> None:
    claim(server)
    ahead = 9_000_000_000_000
    with following(client, URL, last=f"{ahead}-before") as followed:
        event = followed.next()
    assert event is not None
    assert int(event["id"].partition("-")[0]) == ahead + 1


def test_a_stream_of_what_is_not_there_is_refused(client: httpx.Client) -> None:
    for url in ("/v1/uploads/u-0000000000000000/events", "/v1/videos/nothing-000000000000/events"):
        answer = client.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_stream_ends_when_its_upload_is_purged(server: Listening, client: httpx.Client) -> None:
    claim(server)
    with following(client, URL) as followed:
        assert followed.next() is not None
        server.group(Purge).purge(VIDEO_ID, reason="asked for", channel="cli")
        assert followed.until(event="gone")
        assert followed.next() is None


def test_only_so_many_streams_are_open_and_a_place_is_given_back(tmp_path: Path) -> None:
    with listening(tmp_path / "data", serve_streams=1) as server, server.client() as client:
        claim(server)
        for _ in range(2):
            with following(client, URL) as followed:
                assert followed.next() is not None
                refused = client.get(f"{URL}/events")
                assert (refused.status_code, refused.json()["code"]) == (503, "server_busy")
                assert int(refused.headers["Retry-After"]) >= 1
            # The client went away without a word.
            eventually(lambda: _opens(client))


def _opens(client: httpx.Client) -> bool:
    with client.stream("GET", f"{URL}/events") as response:
        return response.status_code == 200


def test_streams_end_when_the_server_stops(server: Listening, client: httpx.Client) -> None:
    claim(server)
    with following(client, URL) as followed:
        assert followed.next() is not None
        server.services.stopping.set()
        assert followed.next() is None


def test_an_idle_stream_shows_that_it_lives(
    server: Listening, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventSourceResponse, "DEFAULT_PING_INTERVAL", 0.1)
    claim(server)
    with client.stream("GET", f"{URL}/events") as response:
        comments = (line for line in response.iter_lines() if line.startswith(":"))
        assert next(comments)
        assert next(comments)


def test_a_stream_outlasts_the_limit_of_a_request(tmp_path: Path) -> None:
    with listening(tmp_path / "data", serve_timeout_s=0.5) as server, server.client() as client:
        claim(server)
        with following(client, URL) as followed:
            assert followed.next() is not None
            with noting(server.settings.home, VIDEO_ID, "frames", "run-1"):
                followed.until(frames="running")
            followed.until(frames="waiting")


def test_what_an_earlier_attempt_staged_is_done_and_of_other_bytes_nothing_is(
    server: Listening, client: httpx.Client
) -> None:
    home = server.settings.home
    stage(home, rows(home))
    claim(server)
    states = {one["stage"]: one["state"] for one in client.get(URL).json()["stages"]}
    assert {states[table] for table in STAGED_TABLES} == {"done"}
    assert states["committed_video"] == "waiting"
    other = NewUpload("/uploads/other.mp4", "other.mp4", "1-2-3-4-5", 1000, "f" * 64, VIDEO_ID)
    server.store.claim(other, requested_by="api/ada")
    found = client.get(f"/v1/uploads/{other.upload_id}").json()
    assert {one["state"] for one in found["stages"]} == {"waiting"}


def test_a_note_lives_as_long_as_its_stage(tmp_path: Path) -> None:
    with noting(tmp_path, VIDEO_ID, "frames", "run-1"):
        note_count(tmp_path, VIDEO_ID, "frames", 1, 2)
        with noting(tmp_path, VIDEO_ID, "captions", "run-1"):
            found = notes(tmp_path, VIDEO_ID)
            assert {name: (note.done, note.total) for name, note in found.items()} == {
                "frames": (1, 2),
                "captions": (None, None),
            }
    assert notes(tmp_path, VIDEO_ID) == {}
    assert list((tmp_path / FOLDER).iterdir()) == []
    note_count(tmp_path, VIDEO_ID, "frames", 1, 2)
    assert notes(tmp_path, VIDEO_ID) == {}


def test_a_failing_stage_takes_its_note_along(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), noting(tmp_path, VIDEO_ID, "frames", "run-1"):
        _ = 1 / 0
    assert notes(tmp_path, VIDEO_ID) == {}


def test_a_note_of_a_killed_process_tells_nothing(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_note_and_wait, args=[tmp_path])
    process.start()
    eventually(lambda: "frames" in notes(tmp_path, VIDEO_ID))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list((tmp_path / FOLDER / VIDEO_ID).iterdir()) != []
    assert notes(tmp_path, VIDEO_ID) == {}
    # The next attempt's own takes its place, and leaves nothing.
    with noting(tmp_path, VIDEO_ID, "frames", "run-2"):
        assert notes(tmp_path, VIDEO_ID)["frames"].run_id == "run-2"
    assert not (tmp_path / FOLDER / VIDEO_ID).exists()


def _note_and_wait(home: Path) -> None:
    with noting(home, VIDEO_ID, "frames", "run-1"):
        signal.pause()


def test_work_goes_on_where_no_note_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder should be")
    with noting(tmp_path, VIDEO_ID, "frames", "run-1"):
        note_count(tmp_path, VIDEO_ID, "frames", 1, 2)
    mark_look(tmp_path)


def test_a_damaged_note_tells_nothing(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER / VIDEO_ID
    folder.mkdir(parents=True)
    folder.joinpath("frames.json").write_text("{")
    assert notes(tmp_path, VIDEO_ID) == {}


def test_a_purge_removes_what_a_killed_run_left_of_its_notes(server: Listening) -> None:
    claim(server)
    folder = server.settings.home / FOLDER / VIDEO_ID
    folder.mkdir(parents=True)
    folder.joinpath("frames.json").write_text("{")
    server.group(Purge).purge(VIDEO_ID, reason="asked for", channel="cli")
    assert not folder.exists()


def test_a_sensor_that_looks_is_seen_and_one_that_stopped_too(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert looked_at(tmp_path) is None
    assert "has not looked yet" in (nobody_looks(settings) or "")
    mark_look(tmp_path)
    assert nobody_looks(settings) is None
    before = datetime.now(UTC) - timedelta(hours=1)
    os.utime(tmp_path / FOLDER / ".uploads", (before.timestamp(),) * 2)
    assert f"{before:%H:%M:%S}" in (nobody_looks(settings) or "")
