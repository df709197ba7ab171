"""Fetches weights from the hubs of the libraries themselves: the addresses are the libraries' own.

A hub that does not resolve fails at once; one that hangs fails within about half a minute; what may pass (a time-out,
an error of the server) is tried once more. What does not belong here: where weights end up (`pull`) and what stands
in when no hub can be reached (`packages`).
"""

from __future__ import annotations

import hashlib
import http.client
import inspect
import os
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from bri_assets.errors import StorageFailed, WeightsDamaged, WeightsMissing
from bri_assets.models.offline import keep_offline
from bri_assets.models.torchvision_compat import ensure_torchvision
from bri_assets.models.weights import ways_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bri_assets.models.weights import Kind

    Guard = Callable[[str], AbstractContextManager[None]]

__all__ = ["download", "fetch_captioner", "fetch_detector", "fetch_embedder", "fetch_transcriber", "unguarded"]

_ATTEMPTS = 2
#: Longest wait for an answer, in seconds, for each attempt; also the longest silence within a download.
_PATIENCE_S = 14.0
_CHUNK = 1 << 20

#: What the publisher's release of a file hashes to, where that is known beforehand.
RELEASED_SHA256 = {"yolo26n.pt": "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef"}


def unguarded(host: str) -> AbstractContextManager[None]:  # noqa: ARG001 - as every guard
    """The guard that guards nothing."""
    return nullcontext()


def fetch_detector(model: str, target: Path, weights_dir: Path, guard: Guard = unguarded) -> str:
    """Fetch a YOLO model from the release of ultralytics' weights that the installed library names.

    Args:
        model: `yolo26n.pt` or `yolo26n`.
        target: the file to write.
        weights_dir: the folder of the weights, for `keep_offline`.
        guard: is handed the hub's host; its context is held while the hub is asked, and may refuse.

    Returns:
        The source, in words.

    Raises:
        WeightsMissing: there is no such model, or the release cannot be reached.
        WeightsDamaged: the release holds other bytes than are known of it.
        BreakerOpen: the guard refused, for the hub failed too often of late.
    """
    keep_offline(weights_dir)
    ensure_torchvision()
    from ultralytics.utils import ASSETS_URL
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    name = model.removesuffix(".pt") + ".pt"
    if name not in GITHUB_ASSETS_NAMES:
        raise WeightsMissing(model, "ultralytics publishes no such model.", ways_out("detector"))
    release = inspect.signature(attempt_download_asset).parameters["release"].default
    url = f"{ASSETS_URL.rpartition('/')[0]}/{release}/{name}"
    with guard(_host(url)):
        download(url, target, RELEASED_SHA256.get(name), ways_out("detector"))
    return f"ultralytics' release {release}"


def fetch_transcriber(model: str, target: Path, weights_dir: Path, guard: Guard = unguarded) -> str:
    """Fetch a Whisper model from where openai-whisper fetches it; arguments, result and errors as `fetch_detector`."""
    keep_offline(weights_dir)
    import whisper

    name = model.removesuffix(".pt")
    if name not in whisper.available_models():
        what = f"openai-whisper knows no such model (it knows {', '.join(whisper.available_models())})."
        raise WeightsMissing(model, what, ways_out("transcriber"))
    url = whisper._MODELS[name]
    with guard(_host(url)):
        download(url, target, url.split("/")[-2], ways_out("transcriber"))  # the library checks this hash as well
    return "openai-whisper's own download"


def fetch_captioner(model: str, target: Path, weights_dir: Path, guard: Guard = unguarded) -> str:
    """Fetch the files of a BLIP model that transformers reads into a folder; otherwise as `fetch_detector`.

    The hub's client decides when it is imported whether it may use the network, and in this process it may not, so it
    runs in a process of its own.
    """
    return _fetch_folder("captioner", model, target, weights_dir, guard)


def fetch_embedder(model: str, target: Path, weights_dir: Path, guard: Guard = unguarded) -> str:
    """Fetch the files of an embedder that transformers reads into a folder; otherwise as `fetch_captioner`."""
    return _fetch_folder("embedder", model, target, weights_dir, guard)


def _fetch_folder(kind: Kind, model: str, target: Path, weights_dir: Path, guard: Guard) -> str:
    keep_offline(weights_dir)
    from huggingface_hub import constants

    remedy = ways_out(kind)
    url = f"{constants.ENDPOINT}/{model}/resolve/main/config.json"
    with guard(_host(url)):
        with _opened(url, model, remedy):
            pass  # it answers, so its client, which is more patient than we are, may have it
        return _snapshot(model, target, remedy)


def _snapshot(model: str, target: Path, remedy: str) -> str:
    settings = {
        "HF_HUB_OFFLINE": "0",
        "TRANSFORMERS_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",  # the plain protocol has a time-out for each read
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(target.with_name("huggingface")),
    }
    command = [sys.executable, "-m", "bri_assets.models.hub_snapshot", model, str(target)]
    done = subprocess.run(  # noqa: S603 - our own module, with a name that was checked
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise WeightsMissing(model, f"its hub did not give it ({last}).", remedy)
    return f"the Hugging Face hub, revision {done.stdout.strip()}"


def download(url: str, target: Path, sha256: str | None, remedy: str) -> None:
    """Download a file.

    Args:
        url: where it is.
        target: the file to write; a temporary one, for what a failed download leaves of it is of no use.
        sha256: what the bytes must hash to; None where nobody knows.
        remedy: for the errors.

    Raises:
        WeightsMissing: it could not be had.
        WeightsDamaged: it has other bytes.
        StorageFailed: it could not be written.
    """
    import stamina

    try:
        for attempt in stamina.retry_context(on=_may_pass, attempts=_ATTEMPTS, wait_initial=1.0, wait_max=2.0):
            with attempt:
                actual = _download_once(url, target)
    except (OSError, http.client.HTTPException) as error:
        raise _not_had(url.rpartition("/")[2], url, error, remedy) from error
    if sha256 is not None and actual != sha256:
        what = f"the download has the SHA-256 {actual} and should have {sha256}."
        raise WeightsDamaged(target.name, what, "Try again; if it stays so, a proxy may answer in the hub's place.")


def _download_once(url: str, target: Path) -> str:
    digest = hashlib.sha256()
    with _answer(url) as answer:
        expected = answer.headers.get("Content-Length")
        try:
            file = target.open("wb")
        except OSError as error:
            raise _unwritten(target, error) from error
        with file:
            size = 0
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                try:
                    file.write(chunk)
                except OSError as error:
                    raise _unwritten(target, error) from error
    if expected is not None and size != int(expected):
        raise http.client.IncompleteRead(b"", int(expected) - size)
    return digest.hexdigest()


def _opened(url: str, model: str, remedy: str) -> Any:
    try:
        return _answer(url)
    except (OSError, http.client.HTTPException) as error:
        raise _not_had(model, url, error, remedy) from error


def _answer(url: str) -> Any:
    """Open an address, within `_PATIENCE_S` in all.

    The time-out of a socket holds for each address that a name resolves to and not for resolving it, so that a hub
    behind a silent wall could take minutes; hence the thread, which is left behind if it has no answer in time.
    """
    results: queue.Queue[Any] = queue.Queue()

    def work() -> None:
        try:
            results.put(urllib.request.urlopen(url, timeout=_PATIENCE_S))  # noqa: S310 - the library's own address
        except (OSError, http.client.HTTPException, ValueError) as error:
            results.put(error)

    threading.Thread(target=work, daemon=True, name="bri-hub").start()
    try:
        result = results.get(timeout=_PATIENCE_S)
    except queue.Empty:
        raise TimeoutError(f"no answer within {_PATIENCE_S:.0f} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def _may_pass(error: Exception) -> bool:
    """Whether trying again may help: not for a name that does not resolve, a refused connection or a missing file."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code == 429
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, TimeoutError | ConnectionResetError | http.client.HTTPException)


def _not_had(model: str, url: str, error: Exception, remedy: str) -> WeightsMissing:
    reason = getattr(error, "reason", None) or error
    return WeightsMissing(model, f"its hub {_host(url)} did not give it ({reason}).", remedy)


def _host(url: str) -> str:
    return urllib.request.Request(url).host or url  # noqa: S310 - only parsed


def _unwritten(target: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        target, f"the download cannot be written ({error.strerror}).", "Make room or set BRI_MODELS_DIR."
    )
