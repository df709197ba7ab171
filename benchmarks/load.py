"""``python -m benchmarks.load``: a real server with many clients while a pipeline commits; see README.md beside.

What does not belong here: what is asked (``clients``), what the pipeline does (``pipeline``), and the reads alone
(``reads``).
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.asking import asks
from benchmarks.clients import KINDS, Run, ask_for
from benchmarks.figures import Bound, machine, print_bounds
from benchmarks.filling import fill
from benchmarks.synthetic import DETECTIONS
from bri_assets.models.embedder import DIMENSION, Embedder, Vectors
from bri_assets.search.index import Index
from bri_assets.search.vectors import TextVectors
from bri_assets.settings import Settings
from bri_assets.store import Queries, StoreFile
from bri_assets.store.queries.model import VisibleVersion
from bri_assets_tests.redis_server import RedisServer, redis_server

__all__ = ["main"]

_RESULTS = Path(__file__).parent / "results" / "load.json"
_P95_MS = 100.0
_PORT = 8699
_HEAPS = 2000


class _Invented(Embedder):
    """Vectors that are invented, under the name of the real model: embedding millions of texts takes hours."""

    def embed(self, texts: Any) -> Vectors:
        """A vector a text."""
        heaps = np.random.default_rng(7).normal(size=(_HEAPS, DIMENSION)).astype(np.float32)
        chance = np.random.default_rng(len(texts))
        found = heaps[chance.integers(0, _HEAPS, len(texts))]
        found = found + chance.normal(size=found.shape).astype(np.float32)
        made: Vectors = found / np.linalg.norm(found, axis=1, keepdims=True)
        return made


def main(
    detections: Annotated[int, typer.Option(min=400, help="Detections in the store, 400 a video.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(min=5, help="How long clients ask, in each run.")] = 120,
    clients: Annotated[int, typer.Option(min=1, help="Clients at once.")] = 20,
    think_s: Annotated[float, typer.Option(min=0, help="Mean time between an answer and the next question.")] = 1.0,
    every_s: Annotated[float, typer.Option(min=0.2, help="Seconds from one commit to the next.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Chooses the questions.")] = 1,
    results: Annotated[Path, typer.Option(help="Where the figures are written, as JSON.")] = _RESULTS,
    note: Annotated[str, typer.Option(help="What a reader of the figures should know, such as what else ran.")] = "",
    models: Annotated[Path, typer.Option(help="Folder of the weights.")] = Path("data/models"),
    scratch: Annotated[Path | None, typer.Option(help="Where the store is made; default: the system's.")] = None,
) -> None:
    """Measure the server under load. Ten million detections need 15 GB of disk."""
    for name in [name for name in os.environ if name.startswith(("BRI_", "DAGSTER_"))]:
        del os.environ[name]
    console = Console(width=max(Console().width, 120), highlight=False)
    started, before = datetime.now(UTC), machine()
    with tempfile.TemporaryDirectory(prefix="bri-benchmark-", dir=scratch) as folder:
        settings = Settings(home=Path(folder), models_dir=models.absolute())
        stage = _Stage(settings, seconds, clients, think_s, every_s, seed, console)
        record = stage.filled(detections // DETECTIONS) | stage.played()
    kinds = record["under_load"]["kinds"]
    bounds = [Bound(name, kinds[name]["p95_ms"], _P95_MS, "ms") for name in kinds]
    told = {
        "synthetic": "every row, and the vectors of the index, are invented; questions are embedded by the real model",
        "note": note,
        "machine": {"before": before, "after": machine()},
        "started_at": started.isoformat(timespec="seconds"),
        "clients": clients,
        "think_s": think_s,
        "commit_every_s": every_s,
        "bounds": [bound.record() for bound in bounds],
        **record,
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(told, indent=1) + "\n")
    _print(console, told, bounds)


@dataclass
class _Stage:
    settings: Settings
    seconds: float
    clients: int
    think_s: float
    every_s: float
    seed: int
    console: Console

    def filled(self, videos: int) -> dict[str, Any]:
        """Fill the store and the index; take the time of the bare queries while nobody else has the store."""
        file = StoreFile.of(self.settings)
        fill(file, videos, self._say)
        queries = Queries.of(self.settings)
        self.visible: list[VisibleVersion] = queries.visible()
        embedder = _Invented(
            model=self.settings.embedder_model,
            weights_dir=str(self.settings.weights_dir),
            device="cpu",
            batch_size=32,
        )
        began = time.perf_counter()
        index = Index(
            self.settings.index_dir,
            queries,
            TextVectors(embedder),
            vectors_from=self.settings.index_vectors_from,
            wait_s=60,
        )
        index.rebuild()
        status = index.status()
        self._say(f"the index has {status.texts:,} texts after {time.perf_counter() - began:.0f} s")
        return {
            "videos": videos,
            "detections": videos * DETECTIONS,
            "texts": status.texts,
            "vectors": status.vectors,
            "index_bytes": status.size_bytes,
            "index_s": round(time.perf_counter() - began, 1),
            "bare": self._bare(file),
        }

    def played(self) -> dict[str, Any]:
        """Three runs: quiet, under load, and under load while the server is restarted and Redis killed."""
        with redis_server(self.settings.home) as redis, _serving(self.settings, redis) as server:
            quiet = self._run(clients=1, think_s=0.0, seconds=self.seconds / 2)
            with self._committing() as commits:
                loaded = self._run(clients=self.clients, think_s=self.think_s, seconds=self.seconds)
            with self._committing(2), _trouble(server, redis, self.seconds) as told:
                troubled = self._run(clients=self.clients, think_s=self.think_s, seconds=self.seconds)
        return {
            "quiet": _told(quiet),
            "under_load": _told(loaded) | {"commits": len(commits), "commit_p50_s": _middle(commits)},
            "restarted": _told(troubled) | {"trouble": told},
        }

    def _run(self, *, clients: int, think_s: float, seconds: float) -> Run:
        self._say(f"{clients} client(s) ask for {seconds:g} s")
        # What is warm in a server that has run for a while is warm here.
        ask_for(_URL, self.visible, seconds=10, clients=clients, think_s=think_s, seed=self.seed + 1000)
        return ask_for(_URL, self.visible, seconds=seconds, clients=clients, think_s=think_s, seed=self.seed)

    @contextmanager
    def _committing(self, turn: int = 1) -> Iterator[list[float]]:
        count = int((self.seconds + 15) / self.every_s) + 1
        first = len(self.visible) + (turn - 1) * count
        command = [sys.executable, "-m", "benchmarks.pipeline", str(self.settings.home), str(first), str(count)]
        taken: list[float] = []
        with subprocess.Popen(  # noqa: S603 - our own words
            [*command, str(self.every_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"BRI_MODELS_DIR": str(self.settings.weights_dir), "OMP_NUM_THREADS": "1"},
        ) as process:
            if process.stdin is None or process.stdout is None:
                raise AssertionError("pipes were asked for")
            if process.stdout.readline().strip() != "staged":
                raise RuntimeError("the pipeline did not start")
            process.stdin.write("go\n")
            process.stdin.flush()
            reader = threading.Thread(target=lambda out: taken.extend(map(float, out)), args=[process.stdout])
            reader.start()
            try:
                yield taken
            finally:
                process.terminate()
                reader.join()

    def _bare(self, file: StoreFile) -> dict[str, float]:
        taken: dict[str, list[float]] = {}
        chance = random.Random(self.seed)  # noqa: S311 - no secret
        with file.open() as connection:
            for _ in range(40):
                for ask in asks(self.visible, chance, 1):
                    began = time.perf_counter()
                    ask.bare(connection)
                    taken.setdefault(ask.name, []).append(time.perf_counter() - began)
                began = time.perf_counter()
                connection.execute(
                    "SELECT * FROM captions WHERE contains(text, 'river') AND contains(text, 'lamp') LIMIT 10"
                ).fetchall()
                taken.setdefault("search by words, all videos", []).append(time.perf_counter() - began)
        return {name: round(1000 * statistics.median(times), 2) for name, times in taken.items()}

    def _say(self, text: str) -> None:
        self.console.print(f"[dim]{text}[/]")


_URL = f"http://127.0.0.1:{_PORT}"


@contextmanager
def _serving(settings: Settings, redis: RedisServer) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "BRI_HOME": str(settings.home),
        "BRI_MODELS_DIR": str(settings.weights_dir),
        "BRI_SERVE_PORT": str(_PORT),
        "BRI_SERVE_RATE": "1000000/minute",
        "BRI_REDIS_URL": redis.url,
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "bri_assets.cli", "serve"]
    with (settings.home / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own words
    try:
        until = time.monotonic() + 120
        while not _is_ready():
            if time.monotonic() > until or server.poll() is not None:
                raise RuntimeError((settings.home / "serve.log").read_text()[-2000:])
            time.sleep(0.2)
        yield server
    finally:
        server.terminate()
        server.wait()


def _is_ready() -> bool:
    try:
        return httpx.get(f"{_URL}/health/ready", timeout=10).is_success
    except httpx.TransportError:
        return False


@contextmanager
def _trouble(server: subprocess.Popen[bytes], redis: RedisServer, seconds: float) -> Iterator[dict[str, str]]:
    """Restart the server after a third of the time, kill Redis after two thirds."""
    told: dict[str, str] = {}
    with ExitStack() as stack:
        for what, after, act in (
            ("server restarted", seconds / 3, lambda: server.send_signal(signal.SIGHUP)),
            ("redis killed", seconds * 2 / 3, redis.kill),
        ):

            def happen(what: str = what, act: Any = act) -> None:
                act()
                told[what] = datetime.now(UTC).isoformat(timespec="seconds")

            # Ten seconds of a run are for warming up.
            timer = threading.Timer(after + 10, happen)
            timer.start()
            stack.callback(timer.cancel)
        yield told


def _told(run: Run) -> dict[str, Any]:
    every = sorted(taken for times in run.taken.values() for taken in times)
    return {
        "requests": len(every),
        "errors": run.errors,
        "sent_again": run.retried,
        "answered_from": run.answered_from,
        "p95_ms": _ms(every, 0.95),
        "longest_ms": _ms(every, 1.0),
        "kinds": {
            kind.name: {
                "requests": len(times),
                "p50_ms": _ms(sorted(times), 0.5),
                "p95_ms": _ms(sorted(times), 0.95),
                "longest_ms": _ms(sorted(times), 1.0),
            }
            for kind in KINDS
            if (times := run.taken.get(kind.name))
        },
    }


def _ms(ordered: list[float], share: float) -> float:
    return round(1000 * ordered[min(len(ordered) - 1, round(share * len(ordered)))], 1)


def _middle(times: list[float]) -> float | None:
    return round(statistics.median(times), 3) if times else None


def _print(console: Console, record: dict[str, Any], bounds: list[Bound]) -> None:
    columns = ("question", "bare p50", "quiet p50", "× bare", "load p50", "load p95", "longest", "restarted p95")
    table = Table(*columns, title=f"ms, {record['detections']:,} synthetic detections, {record['texts']:,} texts")
    for name, load in record["under_load"]["kinds"].items():
        quiet, bare = record["quiet"]["kinds"].get(name, {}), record["bare"].get(name)
        troubled = record["restarted"]["kinds"].get(name, {})
        ratio = f"{quiet['p50_ms'] / bare:.1f}" if bare and quiet else ""
        shown = (bare, quiet.get("p50_ms"), ratio, load["p50_ms"], load["p95_ms"], load["longest_ms"])
        table.add_row(name, *("" if one is None else str(one) for one in (*shown, troubled.get("p95_ms"))))
    console.print(table)
    for name in ("under_load", "restarted"):
        run = record[name]
        console.print(
            f"{name}: {run['requests']} requests, {sum(run['errors'].values())} errors, p95 {run['p95_ms']} ms,"
            f" longest {run['longest_ms']} ms, sent again {run['sent_again']}"
        )
        for said, times in run["errors"].items():
            console.print(f"  {times} × {said}")
    print_bounds(console, bounds)


if __name__ == "__main__":
    typer.run(main)
