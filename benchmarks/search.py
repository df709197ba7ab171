"""``python -m benchmarks.search``: what the index of the search costs, how quick and how right it is; see README.md.

What does not belong here: invented texts (``texts``), known answers (``relevance``), and a server with many clients.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table as Printed

from benchmarks import relevance
from benchmarks.figures import machine
from benchmarks.texts import Corpus
from bri_assets.models.embedder import DIMENSION, MAX_TOKENS, Vectors
from bri_assets.search.layout import LAYOUT, Generation, Held, HeldVersion, Made
from bri_assets.search.model import Mode, SearchRequest
from bri_assets.search.question import Question
from bri_assets.search.reading import Opened
from bri_assets.search.tables import WORDS, Table
from bri_assets.search.without import Without
from bri_assets.store.queries.model import VisibleVersion

__all__ = ["main"]

_RESULTS = Path(__file__).parent / "results" / "search.json"
_MODES: tuple[Mode, ...] = ("keyword", "semantic", "hybrid")
_CLIENTS = 20
#: Questions whose nearest texts are looked for among all vectors, one by one: that is slow.
_COMPARED = 30


def main(
    texts: Annotated[list[int] | None, typer.Option(min=100, help="Texts in an index; may be repeated.")] = None,
    questions: Annotated[int, typer.Option(min=1, help="Questions of each way.")] = 200,
    vectors_from: Annotated[int, typer.Option(min=1, help="Texts from which vectors have an index.")] = 20_000,
    results: Annotated[Path, typer.Option(help="Where the figures are written, as JSON.")] = _RESULTS,
    note: Annotated[str, typer.Option(help="What a reader of the figures should know, such as what else ran.")] = "",
    models: Annotated[Path, typer.Option(help="Folder of the weights.")] = Path("data/models"),
    scratch: Annotated[Path | None, typer.Option(help="Where the indexes are made; default: the system's.")] = None,
) -> None:
    """Measure the index on this machine. A million texts need 6 GB of disk."""
    console = Console(width=max(Console().width, 120), highlight=False)
    started, before = datetime.now(UTC), machine()
    sizes = []
    for count in texts or [10_000, 1_000_000]:
        with tempfile.TemporaryDirectory(prefix="bri-benchmark-", dir=scratch) as folder:
            sizes.append(_measure(Corpus(count), Path(folder), questions, vectors_from, console))
    with tempfile.TemporaryDirectory(prefix="bri-benchmark-", dir=scratch) as folder:
        judged = relevance.judge(Path(folder), models.absolute())
    record = {
        "synthetic": "texts and vectors of the sizes are invented (benchmarks/texts.py); those of `relevance` are not",
        "note": note,
        "machine": {"before": before, "after": machine()},
        "started_at": started.isoformat(timespec="seconds"),
        "minutes": round((datetime.now(UTC) - started).total_seconds() / 60, 1),
        "sizes": sizes,
        "relevance": [asdict(one) for one in judged],
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(record, indent=1) + "\n")
    _print(console, record)


def _measure(corpus: Corpus, folder: Path, questions: int, vectors_from: int, console: Console) -> dict[str, Any]:
    took: dict[str, float] = {}
    console.print(f"[dim]an index of {corpus.texts:,} texts[/]")
    table = Table.make(folder, DIMENSION)
    with _timed(took, "add"):
        for rows, vectors in corpus.batches():
            table.add(rows, vectors)
    with _timed(took, "index words"):
        table.index_words()
    if corpus.texts >= vectors_from:
        with _timed(took, "index vectors"):
            table.index_vectors()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    table = Table.open(folder)
    asked = corpus.questions(questions)
    found = {
        "texts": corpus.texts,
        "vectors": "ivf_rq" if corpus.texts >= vectors_from else "flat",
        "seconds": took,
        "bytes": size,
        "ms": {mode: _latency(_asker(table, corpus, mode), asked) for mode in _MODES},
        "ms_of_captions_alone": _latency(_asker(table, corpus, "hybrid", kinds=["caption"]), asked[:50]),
        "ms_in_one_video": _latency(_asker(table, corpus, "hybrid", video_ids=["video-000003"]), asked[:50]),
        "answers_a_second": {mode: _throughput(_asker(table, corpus, mode), asked) for mode in _MODES},
        "recall_at_10": _recall(table, [vector for _, vector in asked[:_COMPARED]]),
    }
    extra = Corpus(150, seed=corpus.seed + 9)
    with _timed(took, "add one more video"):
        for rows, vectors in extra.batches():
            table.add([row._replace(version_id=corpus.videos + 1) for row in rows], vectors)
    found["ms_with_rows_not_in_the_indexes"] = _latency(_asker(table, corpus, "hybrid"), asked[:50])
    with _timed(took, "remove one video"):
        table.remove([1])
    with _timed(took, "optimize"):
        table.optimize()
    return found


def _asker(table: Table, corpus: Corpus, mode: Mode, **named: Any) -> Callable[[str, Vectors], int]:
    """Asks as ``Search`` does, without the store; returns how many hits there are."""
    about = _versions(corpus.videos)
    held = {number: HeldVersion(one.video_id, 150, "") for number, one in about.items()}
    made = Made(LAYOUT, "invented", "", DIMENSION, MAX_TOKENS, WORDS, datetime.now(UTC))
    now = Opened(Generation(Path()), made, Held(versions=held), table, None)
    without = cast("Without", None)  # nothing is missing, so nobody asks it
    ids = named.get("video_ids")
    meant = about if ids is None else {number: one for number, one in about.items() if one.video_id in ids}

    def ask(text: str, vector: Vectors) -> int:
        request = SearchRequest(text=text, mode=mode, **named)
        return len(Question(request, meant, now, without, vector, None).answer().hits)

    return ask


@cache
def _versions(count: int) -> dict[int, VisibleVersion]:
    now = datetime.now(UTC)
    return {
        number + 1: VisibleVersion(
            video_id=f"video-{number:06d}", version_id=number + 1, version=1, filename="x.mp4", committed_at=now
        )
        for number in range(count)
    }


def _latency(ask: Callable[[str, Vectors], int], asked: list[tuple[str, Vectors]]) -> dict[str, float]:
    for text, vector in asked[:5]:
        ask(text, vector)
    taken, hits = [], 0
    for text, vector in asked:
        began = time.perf_counter()
        hits += ask(text, vector)
        taken.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(taken, n=20, method="inclusive") if len(taken) > 1 else taken * 19
    return {"p50": statistics.median(taken), "p95": cuts[18], "longest": max(taken), "hits": hits / len(asked)}


def _throughput(ask: Callable[[str, Vectors], int], asked: list[tuple[str, Vectors]]) -> float:
    """Answers a second to clients that ask one question after the other."""
    began = time.perf_counter()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(lambda one: ask(*one), asked))
    return len(asked) / (time.perf_counter() - began)


def _recall(table: Table, vectors: list[Vectors]) -> float:
    """How many of the ten nearest texts are among the first ten, of as many as a question for ten looks up."""
    shares = []
    for vector in vectors:
        nearest = table.nearest_of_all(vector, 10)
        near = {one.row.key for one in table.by_vector(vector, 15, None)[:10]}
        shares.append(len(near & {one.row.key for one in nearest}) / len(nearest))
    return statistics.mean(shares)


class _timed:  # noqa: N801 - reads as a word
    """Keeps the seconds that a block takes."""

    def __init__(self, kept: dict[str, float], what: str) -> None:
        self._kept, self._what = kept, what

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._kept[self._what] = round(time.perf_counter() - self._began, 3)


def _print(console: Console, record: dict[str, Any]) -> None:
    for size in record["sizes"]:
        title = f"{size['texts']:,} invented texts, vectors {size['vectors']}, {size['bytes'] / 1e6:,.0f} MB"
        table = Printed("way", "p50 ms", "p95 ms", "longest ms", "answers/s of 20 clients", title=title)
        for mode, ms in size["ms"].items():
            row = [f"{ms[name]:.1f}" for name in ("p50", "p95", "longest")]
            table.add_row(mode, *row, f"{size['answers_a_second'][mode]:.0f}")
        for name in ("of_captions_alone", "in_one_video", "with_rows_not_in_the_indexes"):
            ms = size[f"ms_{name}"]
            table.add_row(f"hybrid {name.replace('_', ' ')}", *[f"{ms[one]:.1f}" for one in ("p50", "p95", "longest")])
        console.print(table)
        console.print("seconds: " + ", ".join(f"{what} {seconds:.2f}" for what, seconds in size["seconds"].items()))
        console.print(f"recall of the ten nearest: {size['recall_at_10']:.3f}")
    table = Printed("questions", "way", "how many", "recall@5", "MRR", "nothing found", title="relevance, real texts")
    for one in record["relevance"]:
        figures = ["" if one[name] is None else f"{one[name]:.2f}" for name in ("recall_at_5", "mrr", "nothing")]
        table.add_row(one["kind"], one["mode"], str(one["questions"]), *figures)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
