"""Sending a file: a video is taken in whole, under a name of its own, and nothing else leaves anything behind."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bri_assets.errors import FilenameWrong
from bri_assets.intake import examine, scan, unseen
from bri_assets.progress import mark_look
from bri_assets.serve.api.app import build_app
from bri_assets.serve.filenames import MOST_BYTES, checked, others
from bri_assets.serve.services import Services
from bri_assets.store import Store
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets_tests.clips import cut, make_audio, make_clip, make_image, make_text
from bri_assets_tests.commands import ROOT
from bri_assets_tests.unit.serve.full_disk import make_large
from bri_assets_tests.unit.serve.listening import Listening, audit, eventually, listening


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def client(server: Listening) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", seconds=1, audio="tone").read_bytes()


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clips") / "other.mp4", seconds=2).read_bytes()


def in_portions(data: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_a_video_is_taken_in_and_waits_for_its_run(server: Listening, client: httpx.Client, clip: bytes) -> None:
    answer = client.put("/v1/uploads/holiday.mp4", content=clip)
    assert answer.status_code == 202, answer.text
    told, path = answer.json(), server.settings.uploads_dir / "holiday.mp4"
    assert path.read_bytes() == clip
    assert server.uploads() == ["holiday.mp4"]
    # The same that the sensor would make of the file, which therefore need not look at it again.
    expected = examine(path).upload
    upload = told["upload"]
    assert upload["upload_id"] == expected.upload_id
    assert upload["video_id"] == expected.video_id
    assert (upload["sha256"], upload["size_bytes"]) == (hashlib.sha256(clip).hexdigest(), len(clip))
    assert (upload["state"], told["created"]) == ("waiting", True)
    assert list(unseen(scan(server.settings.uploads_dir), server.store.seen(), 0.0)) == []
    (pending,) = server.store.pending()
    assert (pending.upload_id, pending.requested_by, pending.priority) == (upload["upload_id"], "api/anonymous", 1)
    assert server.store.staging.source(upload["video_id"]).path == str(path)
    assert audit(server, "upload.accepted")[0].startswith("api/anonymous:")
    assert client.get(told["status_url"]).json()["upload"] == upload
    assert answer.headers["Location"] == told["status_url"]


def test_it_is_said_when_nobody_starts_runs(server: Listening, client: httpx.Client, clip: bytes, other: bytes) -> None:
    hint = client.put("/v1/uploads/holiday.mp4", content=clip).json()["hint"]
    assert "Start the daemon" in hint
    assert "bri ingest" in hint
    mark_look(server.settings.home)
    assert client.put("/v1/uploads/other.mp4", content=other).json()["hint"] is None


def test_a_body_in_chunks_is_the_same(server: Listening, client: httpx.Client, clip: bytes) -> None:
    answer = client.put("/v1/uploads/holiday.mp4", content=in_portions(clip))
    assert answer.status_code == 202, answer.text
    assert (server.settings.uploads_dir / "holiday.mp4").read_bytes() == clip


def test_a_file_of_several_portions_whose_index_comes_last_arrives_whole(
    server: Listening, client: httpx.Client, tmp_path: Path
) -> None:
    large = make_large(tmp_path / "large.mov").read_bytes()
    # Its beginning alone is no video yet, and is not refused for that.
    assert large.index(b"moov") > 2 << 20
    answer = client.put("/v1/uploads/large.mov", content=in_portions(large, 77_777))
    assert answer.status_code == 202, answer.text
    assert (server.settings.uploads_dir / "large.mov").read_bytes() == large


def test_the_same_bytes_are_the_same_upload(server: Listening, client: httpx.Client, clip: bytes) -> None:
    first = client.put("/v1/uploads/holiday.mp4", content=clip)
    again = client.put("/v1/uploads/holiday.mp4", content=clip)
    assert again.status_code == 200
    assert again.json()["created"] is False
    assert again.json()["upload"]["upload_id"] == first.json()["upload"]["upload_id"]
    assert again.json()["upload"]["attempts"] == 1
    assert server.uploads() == ["holiday.mp4"]


def test_other_bytes_of_a_name_get_a_name_beside_it_and_overwrite_nothing(
    server: Listening, client: httpx.Client, clip: bytes, other: bytes
) -> None:
    client.put("/v1/uploads/holiday.mp4", content=clip)
    for status in (202, 200):
        answer = client.put("/v1/uploads/holiday.mp4", content=other)
        assert (answer.status_code, answer.json()["upload"]["filename"]) == (status, "holiday-2.mp4")
    assert server.uploads() == ["holiday-2.mp4", "holiday.mp4"]
    assert (server.settings.uploads_dir / "holiday.mp4").read_bytes() == clip
    assert (server.settings.uploads_dir / "holiday-2.mp4").read_bytes() == other


def test_many_at_once_under_one_name_are_all_kept(server: Listening, clip: bytes) -> None:
    # Zeros behind an MP4 are read over: so many videos of other bytes.
    bodies = [clip + bytes(8 * number) for number in range(1, 5)]
    with server.client() as client, ThreadPoolExecutor(len(bodies)) as threads:
        answers = list(threads.map(lambda body: client.put("/v1/uploads/holiday.mp4", content=body), bodies))
    assert [answer.status_code for answer in answers] == [202] * len(bodies)
    kept = {path.read_bytes() for path in server.settings.uploads_dir.iterdir()}
    assert kept == set(bodies)
    assert len(server.store.pending()) == len(bodies)


@pytest.mark.parametrize(
    "name", ["Ferien 2026 – Köln.mp4", "假期.mp4", "-dash.mp4", "10:30 a*b?.mp4", "no suffix", "😀.mp4"]
)
def test_names_of_all_languages_are_kept(server: Listening, client: httpx.Client, clip: bytes, name: str) -> None:
    answer = client.put(f"/v1/uploads/{quote(name, safe='')}", content=clip)
    assert answer.status_code == 202, answer.text
    assert answer.json()["upload"]["filename"] == name
    assert server.uploads() == [name]


@pytest.mark.parametrize(
    "target",
    [
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd.mp4",
        "a%5c..%5cb.mp4",
        ".hidden.mp4",
        "clip.mp4.part",
        "a%00b.mp4",
        "a%0d%0ab.mp4",
        "a%7fb.mp4",
        "%ff%fe.mp4",
        "%20.mp4%20",
        "gpj%e2%80%ae4pm.mp4",
        "a" * (MOST_BYTES + 1),
        "",
    ],
)
def test_a_name_that_no_file_may_have_is_refused_and_nothing_is_written(
    server: Listening, clip: bytes, target: str
) -> None:
    before = _files_around(server)
    with server.socket() as connection:
        head = f"PUT /v1/uploads/{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(clip)}\r\n\r\n"
        connection.sendall(head.encode() + clip)
        assert _status(connection) in (404, 405, 422)
    assert _files_around(server) == before
    assert server.store.status() == []


@given(st.text(max_size=80))
def test_whatever_name_is_taken_is_one_that_is_looked_for_and_lies_in_the_folder(name: str) -> None:
    try:
        taken = checked(name)
    except FilenameWrong as error:
        str(error).encode()
        return
    assert Path("uploads", taken).parent == Path("uploads")
    assert len(taken.encode()) <= MOST_BYTES
    assert taken.isprintable() or not any(ord(letter) < 32 for letter in taken)
    assert checked(taken) == taken
    assert len(next(other for number, other in enumerate(others(taken)) if number == 900).encode()) <= 255


def test_names_that_look_the_same_are_the_same() -> None:
    assert checked("Ko\u0308ln.mp4") == checked("K\u00f6ln.mp4")


def _zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("clip.txt", "not a video " * 1000)
    return path


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda path: make_text(path), 415, "not_a_video"),
        (lambda path: _zip(path), 415, "not_a_video"),
        (lambda path: make_image(path.with_suffix(".png")), 415, None),
        (lambda path: make_audio(path.with_suffix(".mp3")), 415, "no_picture"),
        (lambda path: cut(make_clip(path, seconds=10, options={"movflags": "faststart"}), 0.5), 422, "truncated"),
        (lambda path: cut(make_clip(path, seconds=2), 0.5), 422, "truncated"),
        (lambda path: _empty(path), 422, "empty"),
    ],
)
def test_what_is_no_whole_video_is_refused_with_the_reason_and_leaves_nothing(
    server: Listening,
    client: httpx.Client,
    tmp_path: Path,
    make: Callable[[Path], Path],
    status: int,
    code: str | None,
) -> None:
    answer = client.put("/v1/uploads/clip.mp4", content=make(tmp_path / "made.mp4").read_bytes())
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert code in (None, told["code"])
    assert told["detail"].startswith("clip.mp4: ")
    assert told["remedy"]
    assert (server.uploads(), server.store.status()) == ([], [])


def _empty(path: Path) -> Path:
    path.touch()
    return path


def test_what_is_no_video_is_refused_before_all_of_it_is_sent(server: Listening) -> None:
    with server.socket() as connection:
        connection.sendall(_head(2 << 30) + b"PK\x03\x04" + os.urandom((1 << 20) + 4096))
        assert _status(connection) == 415
    assert server.uploads() == []


def test_a_digest_that_fits_is_taken(client: httpx.Client, clip: bytes) -> None:
    digest = hashlib.sha256(clip)
    said = base64.b64encode(digest.digest()).decode()
    headers = {"Content-Digest": f"sha-512=:YQ==:, sha-256=:{said}:", "X-Content-SHA256": digest.hexdigest().upper()}
    assert client.put("/v1/uploads/clip.mp4", content=clip, headers=headers).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Content-SHA256": hashlib.sha256(b"other").hexdigest()},
        {"Content-Digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"},
        {"Content-Digest": "sha-256=:YQ==:"},
        {"Content-Digest": "sha-256=nonsense"},
        {"Content-Digest": "sha-256=:ä:"},
        {"X-Content-SHA256": "12"},
        {"X-Content-SHA256": "0" * 64, "Content-Digest": f"sha-256=:{base64.b64encode(b'1' * 32).decode()}:"},
    ],
)
def test_a_digest_that_does_not_fit_or_is_none_is_refused(
    server: Listening, client: httpx.Client, clip: bytes, headers: dict[str, str]
) -> None:
    raw = {name: value.encode() for name, value in headers.items()}
    answer = client.put("/v1/uploads/clip.mp4", content=clip, headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (400, "digest_wrong")
    assert (server.uploads(), server.store.status()) == ([], [])


@pytest.mark.parametrize(
    ("header", "value", "status"), [("Content-Encoding", "gzip", 415), ("Content-Range", "bytes 0-99/200", 400)]
)
def test_a_body_that_is_not_the_file_itself_is_refused(
    client: httpx.Client, clip: bytes, header: str, value: str, status: int
) -> None:
    assert client.put("/v1/uploads/clip.mp4", content=clip, headers={header: value}).status_code == status


def test_a_file_that_is_too_large_is_refused_by_what_is_promised(tmp_path: Path, clip: bytes) -> None:
    with listening(tmp_path / "data", upload_max_gb=0.001) as server, server.socket() as connection:
        connection.sendall(_head(2_000_000))
        assert _status(connection) == 413
        assert server.uploads() == []


def test_a_file_that_turns_out_too_large_is_refused(tmp_path: Path, clip: bytes) -> None:
    with listening(tmp_path / "data", upload_max_gb=len(clip) / 2e9) as server, server.client() as client:
        answer = client.put("/v1/uploads/clip.mp4", content=in_portions(clip))
        assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
        assert server.uploads() == []


def test_a_disk_that_would_be_too_full_is_kept_free(tmp_path: Path, clip: bytes) -> None:
    with listening(tmp_path / "data", disk_free_min_gb=1e9) as server, server.client() as client:
        answer = client.put("/v1/uploads/clip.mp4", content=clip)
        assert answer.status_code == 413
        assert "no room" in answer.json()["detail"]
        assert "BRI_DISK_FREE_MIN_GB" in answer.json()["remedy"]
        assert server.uploads() == []


def test_a_small_disk_that_fills_while_a_file_arrives_ends_clean_and_goes_on(tmp_path: Path) -> None:
    """A file system of 3 MB over the uploads, in a name space of its own; see ``full_disk``."""
    assert shutil.which("unshare"), "this test needs util-linux, which Linux systems have"
    home = tmp_path / "data"
    (home / "uploads").mkdir(parents=True)
    script = f"""
    set -eu
    mount -t tmpfs -o size=3m tmpfs "{home}/uploads"
    exec "{sys.executable}" -m bri_assets_tests.unit.serve.full_disk "{home}" "{tmp_path}"
    """
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"promised": 413, "in chunks": 413, "left": [], "small": 202}


@pytest.mark.parametrize("promised", [1_000_000, 2 << 30])
def test_a_sender_that_goes_away_leaves_nothing(server: Listening, clip: bytes, promised: int) -> None:
    with server.socket() as connection:
        connection.sendall(_head(promised) + clip[:2000])
        eventually(lambda: server.uploads() != [])
    eventually(lambda: server.uploads() == [])
    assert server.store.status() == []


def test_a_sender_that_goes_away_in_mid_chunk_leaves_nothing(server: Listening, clip: bytes) -> None:
    with server.socket() as connection:
        head = b"PUT /v1/uploads/clip.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head + b"800\r\n" + clip[:2048] + b"\r\n800\r\n" + clip[2048:3000])
        eventually(lambda: server.uploads() != [])
        # So that the kernel says it with a reset, as where a cable is pulled.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    eventually(lambda: server.uploads() == [])


def test_a_sender_that_stops_is_given_up(tmp_path: Path, clip: bytes) -> None:
    with listening(tmp_path / "data", upload_stall_s=0.3) as server, server.socket() as connection:
        connection.sendall(_head(len(clip)) + clip[:2000])
        assert _status(connection) == 408
        assert server.uploads() == []


def test_a_sender_that_is_slow_is_waited_for(tmp_path: Path, clip: bytes) -> None:
    with listening(tmp_path / "data", upload_stall_s=5, serve_timeout_s=0.5) as server, server.socket() as connection:
        connection.sendall(_head(len(clip)))
        for portion in in_portions(clip, len(clip) // 12 + 1):
            connection.sendall(portion)
            time.sleep(0.1)
        assert _status(connection) == 202


def test_only_so_many_are_received_at_once(tmp_path: Path, clip: bytes) -> None:
    with listening(tmp_path / "data", upload_parallel=1) as server, server.client() as client:
        with server.socket() as connection:
            connection.sendall(_head(len(clip)) + clip[:2000])
            eventually(lambda: server.uploads() != [])
            refused = client.put("/v1/uploads/other.mp4", content=clip)
            assert (refused.status_code, refused.json()["code"]) == (503, "server_busy")
            assert int(refused.headers["Retry-After"]) >= 1
        eventually(lambda: client.put("/v1/uploads/other.mp4", content=clip).status_code == 202)


def test_leftovers_of_a_killed_server_are_removed_a_day_later(server: Listening) -> None:
    folder = server.settings.uploads_dir
    old, young, foreign = folder / ".copy-api-0a.part", folder / ".copy-api-0b.part", folder / ".rsync.part"
    for path in (old, young, foreign):
        path.write_bytes(b"part of a video")
    for path in (old, foreign):
        os.utime(path, (time.time() - 90_000,) * 2)
    assert list(scan(folder)) == []
    build_app(Services.of(server.settings, server.services.groups))
    assert server.uploads() == [young.name, foreign.name]


def test_a_copy_of_a_committed_video_needs_nothing(server: Listening, client: httpx.Client, clip: bytes) -> None:
    video_id = client.put("/v1/uploads/clip.mp4", content=clip).json()["upload"]["video_id"]
    answer = client.put("/v1/uploads/copy.mp4", content=clip)
    # It waits for the one that is being ingested, and becomes what that becomes.
    assert (answer.status_code, answer.json()["upload"]["video_id"]) == (202, video_id)
    assert len(server.store.pending()) == 1


def test_what_was_purged_comes_back_when_a_person_sends_it(
    server: Listening, client: httpx.Client, clip: bytes
) -> None:
    upload = client.put("/v1/uploads/clip.mp4", content=clip).json()["upload"]
    (server.settings.uploads_dir / "clip.mp4").unlink()
    server.group(Purge).purge(upload["video_id"], reason="asked for", channel="cli")
    assert client.get(f"/v1/uploads/{upload['upload_id']}").status_code == 404
    answer = client.put("/v1/uploads/clip.mp4", content=clip)
    assert (answer.status_code, answer.json()["upload"]["state"]) == (202, "waiting")


def test_uploads_are_listed_newest_first_page_by_page_and_by_state(
    server: Listening, client: httpx.Client, clip: bytes
) -> None:
    names = [f"clip-{number}.mp4" for number in range(5)]
    ids = [
        client.put(f"/v1/uploads/{name}", content=clip + bytes(8 * number)).json()["upload"]["upload_id"]
        for number, name in enumerate(names)
    ]
    _fail(server.store, client.get(f"/v1/uploads/{ids[1]}").json()["upload"]["video_id"])
    seen, cursor = [], None
    while True:
        page = client.get("/v1/uploads", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["filename"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names[::-1]
    failed = client.get("/v1/uploads", params={"state": "failed"}).json()["items"]
    assert [item["upload_id"] for item in failed] == [ids[1]]
    for wrong, status in (({"cursor": "nonsense"}, 400), ({"limit": 0}, 422), ({"state": "lost"}, 422)):
        assert client.get("/v1/uploads", params=wrong).status_code == status


def test_a_failed_upload_says_what_becomes_of_it_and_is_tried_again(
    server: Listening, client: httpx.Client, clip: bytes
) -> None:
    upload = client.put("/v1/uploads/clip.mp4", content=clip).json()["upload"]
    url = f"/v1/uploads/{upload['upload_id']}"
    _fail(server.store, upload["video_id"])
    told = client.get(url).json()
    assert (told["upload"]["state"], told["upload"]["code"], told["final"]) == ("failed", "commit_refused", True)
    assert told["again"]["by_machine"] is False
    assert "See the check" in told["again"]["remedy"]

    again = client.post(f"{url}/retry")
    assert again.status_code == 202, again.text
    assert (again.json()["upload"]["state"], again.json()["upload"]["attempts"]) == ("waiting", 2)
    assert again.json()["again"] is None
    assert audit(server, "upload.retried")[0].startswith("api/anonymous:")
    (pending,) = server.store.pending()
    assert (pending.attempt, pending.requested_by) == (2, "api/anonymous")

    twice = client.post(f"{url}/retry")
    assert (twice.status_code, twice.json()["code"]) == (409, "retry_refused")


def test_sending_a_failed_file_again_tries_it_again(server: Listening, client: httpx.Client, clip: bytes) -> None:
    upload = client.put("/v1/uploads/clip.mp4", content=clip).json()["upload"]
    _fail(server.store, upload["video_id"])
    answer = client.put("/v1/uploads/clip.mp4", content=clip)
    assert (answer.status_code, answer.json()["created"]) == (202, False)
    assert answer.json()["upload"]["attempts"] == 2


def test_what_cannot_be_tried_again_is_refused_with_the_reason(
    server: Listening, client: httpx.Client, clip: bytes, other: bytes
) -> None:
    upload = client.put("/v1/uploads/clip.mp4", content=clip).json()["upload"]
    _fail(server.store, upload["video_id"])
    (server.settings.uploads_dir / "clip.mp4").write_bytes(other)
    refused = client.post(f"/v1/uploads/{upload['upload_id']}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "retry_refused")
    assert "changed" in refused.json()["detail"]
    assert client.post("/v1/uploads/u-0000000000000000/retry").status_code == 404
    assert client.get("/v1/uploads/u-0000000000000000").status_code == 404


def test_a_deleted_videos_file_is_not_ingested_anew(server: Listening, client: httpx.Client, clip: bytes) -> None:
    upload = client.put("/v1/uploads/clip.mp4", content=clip).json()["upload"]
    server.group(Purge).begin(upload["video_id"], reason="asked for", channel="cli")
    answer = client.put("/v1/uploads/copy.mp4", content=clip)
    assert answer.status_code == 200
    assert "is being purged" in answer.json()["upload"]["reason"]
    assert server.group(Deletion).find("copy.mp4") == upload["video_id"]


def _fail(store: Store, video_id: str) -> None:
    store.mark_failed(video_id, run_id="run-1", channel="runs", code="commit_refused", reason="a proof refused it")


def _head(length: int) -> bytes:
    return f"PUT /v1/uploads/clip.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n".encode()


def _status(connection: socket.socket) -> int:
    """The status of the answer, once its first line is there."""
    answer = b""
    while b"\r\n" not in answer:
        more = connection.recv(4096)
        assert more, f"the connection was closed after {answer!r}"
        answer += more
    return int(answer.split()[1])


def _files_around(server: Listening) -> set[Any]:
    """Every file of the test, but the store's, which come and go."""
    root = server.settings.home.parent
    return {path for path in root.rglob("*") if "store" not in path.parts}
