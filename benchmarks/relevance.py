"""How right the search is: questions with known answers over real texts, asked of a real store and its index.

The sample clip is ingested as it comes; further sentences, and all questions, stand in ``relevance.json``. What does
not belong here: how quick it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bri_assets.search.index import Index
from bri_assets.search.model import Mode, SearchHit, SearchRequest
from bri_assets.search.search import Search
from bri_assets.settings import Settings
from bri_assets.store.queries.model import Evidence, Text, VersionTexts, VisibleVersion
from bri_assets.store.queries.queries import Queries

__all__ = ["Judged", "judge"]

_HERE = Path(__file__).parent
_SAMPLE = _HERE.parent / "data" / "sample" / "tour.mp4"
_MODES: tuple[Mode, ...] = ("keyword", "semantic", "hybrid")


@dataclass(frozen=True)
class Judged:
    """How right one way is on one kind of question.

    Args:
        kind: of the questions.
        mode: the way.
        questions: how many.
        recall_at_5: share of questions with a right text among the first five; None where there is none to find.
        mrr: mean of 1 ÷ the rank of the first right text.
        nothing: share of questions to which nothing was found.
    """

    kind: str
    mode: Mode
    questions: int
    recall_at_5: float | None
    mrr: float | None
    nothing: float


class _More(Queries):
    """The store's reads, with the sentences of the file as further videos."""

    def texts(self, version_ids: list[int]) -> list[VersionTexts]:
        """Those of the store, and those of the file."""
        own = [number for number in version_ids if number < _FIRST]
        return [*super().texts(own), *(_written()[number] for number in version_ids if number >= _FIRST)]

    def visible(self) -> list[VisibleVersion]:
        """Those of the store, and those of the file."""
        written = (one.model_dump(exclude={"texts"}) for one in _written().values())
        return [*super().visible(), *(VisibleVersion(**one) for one in written)]


#: Versions of the file have numbers from here on.
_FIRST = 1_000_000


def judge(home: Path, models: Path) -> list[Judged]:
    """Ingest, index, ask.

    Args:
        home: an empty folder.
        models: the folder of the weights.
    """
    settings = Settings(home=home, models_dir=models, captioner="objects", transcriber_model="tiny.en")
    _ingest(settings)
    queries = _More.of(settings)
    search = Search(queries, Index.of(settings, queries))
    search.index.rebuild()
    asked = _data()["questions"]
    kinds = list(dict.fromkeys(question["kind"] for question in asked))
    return [
        _judged(search, kind, mode, [one for one in asked if one["kind"] == kind]) for kind in kinds for mode in _MODES
    ]


def _judged(search: Search, kind: str, mode: Mode, asked: list[dict[str, Any]]) -> Judged:
    answers = search.search([SearchRequest(text=question["text"], mode=mode) for question in asked])
    ranks = [_rank(answer.hits, question) for answer, question in zip(answers, asked, strict=True)]
    to_find = kind != "nothing"
    return Judged(
        kind,
        mode,
        len(asked),
        sum(rank is not None and rank <= 5 for rank in ranks) / len(ranks) if to_find else None,
        sum(0 if rank is None else 1 / rank for rank in ranks) / len(ranks) if to_find else None,
        sum(not answer.hits for answer in answers) / len(answers),
    )


def _rank(hits: Sequence[SearchHit], question: dict[str, Any]) -> int | None:
    written = {one["id"]: one["text"] for one in _data()["texts"]}
    for rank, hit in enumerate(hits, start=1):
        if "holds" in question:
            if question["holds"] in hit.text and hit.source.filename == _SAMPLE.name:
                return rank
        elif hit.text in {written[one] for one in question["right"]}:
            return rank
    return None


def _ingest(settings: Settings) -> None:
    named = {"home": settings.home, "models_dir": settings.models_dir, "captioner": "objects"}
    variables = {f"BRI_{name}".upper(): str(value) for name, value in named.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRI_", "DAGSTER_"))}
    environment = kept | variables | {"BRI_TRANSCRIBER_MODEL": "tiny.en", "BRI_SETTLE_S": "0"}
    command = [sys.executable, "-m", "bri_assets.cli", "ingest", str(_SAMPLE)]
    subprocess.run(command, env=environment, check=True, capture_output=True)  # noqa: S603 - our own words


def _data() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_HERE / "relevance.json").read_text(encoding="utf-8"))
    return found


def _written() -> dict[int, VersionTexts]:
    names = list(dict.fromkeys(one["video"] for one in _data()["texts"]))
    return {_FIRST + number: _version(_FIRST + number, name) for number, name in enumerate(names)}


def _version(number: int, name: str) -> VersionTexts:
    own = [one for one in _data()["texts"] if one["video"] == name]
    return VersionTexts(
        version_id=number,
        video_id=name,
        filename=f"{name}.mp4",
        version=1,
        committed_at="2026-01-01T00:00:00Z",
        texts=[_text(place, one) for place, one in enumerate(own)],
    )


def _text(place: int, one: dict[str, str]) -> Text:
    shown = Evidence(frame_index=place, timestamp_s=2.0 * place, image_path="none.jpg", image_sha256="0" * 64)
    start = 2.0 * place
    return Text(kind=one["kind"], row_index=place, start_s=start, end_s=start, text=one["text"], evidence=shown)
