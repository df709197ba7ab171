"""Videos whose quality figures are beyond today's thresholds: incomplete, low in accuracy, unusual in volume.

The figures are those that were kept with the version that is shown. What does not belong here: measuring and the
thresholds' meaning (``store.quality``, ``store.verdicts``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bri_assets.findings import Finding
from bri_assets.health.look import Look, Scene
from bri_assets.store.measured import Quality, VideoQuality
from bri_assets.store.verdicts import Verdict, judge, limits

__all__ = ["QUALITY"]

_RULES = {"completeness": "incomplete", "accuracy": "low_accuracy", "volume": "unusual_volume"}


def _find(scene: Scene) -> Iterator[Finding]:
    store = Quality.of(scene.settings)
    known = limits(scene.settings, store.spreads())
    for video in store.beyond(known):
        beyond = [verdict for verdict in judge(video.figures, known) if not verdict.passed]
        yield from _findings(video, beyond)


def _findings(video: VideoQuality, beyond: Sequence[Verdict]) -> Iterator[Finding]:
    """One finding a rule; a table that is short or wrong is not told of again for its unusual volume."""
    told: set[str] = set()
    for kind in _RULES:
        # The least of the completenesses is one of them.
        mine = [one for one in beyond if one.figure.kind == kind and one.figure.table not in {"", *told}]
        if mine:
            yield _finding(video, kind, mine)
        told |= {verdict.figure.table for verdict in mine}


def _finding(video: VideoQuality, kind: str, beyond: Sequence[Verdict]) -> Finding:
    settings = sorted({f"BRI_{verdict.limit.setting.upper()}" for verdict in beyond if verdict.limit})
    return Finding(
        _RULES[kind],
        f"video:{video.video_id}",
        f"{video.filename}, version {video.version}: {_SAID[kind](beyond)}",
        f"See `bri quality {video.video_id}` and `bri show {video.video_id}`. {_NEXT[kind]}"
        f" If it is as it should be, change {' or '.join(settings)}, or silence the alert.",
        version=str(video.version_id),
        video_id=video.video_id,
        facts={
            verdict.figure.name: {"value": verdict.value, "expected": verdict.expected, "table": verdict.figure.table}
            for verdict in beyond
        },
    )


def _short(beyond: Sequence[Verdict]) -> str:
    parts = [f"{verdict.figure.table} ({verdict.value:.0%}, {verdict.expected})" for verdict in beyond]
    return f"less than its upload implies in {', '.join(parts)}."


def _unsure(beyond: Sequence[Verdict]) -> str:
    return "; ".join(f"{v.figure.meaning.split(';')[0]}: {v.value:.3g}, expected {v.expected}" for v in beyond) + "."


def _far(beyond: Sequence[Verdict]) -> str:
    parts = [f"{v.value:.3g} {v.figure.meaning.split(';')[0]}, where videos here have {v.expected}" for v in beyond]
    return f"{'; '.join(parts)}."


_SAID = {"completeness": _short, "accuracy": _unsure, "volume": _far}
_NEXT = {
    "completeness": "Where the file has gaps, ingest a whole one; else materialize the table named and"
    " committed_video of this partition again.",
    "accuracy": "Look at the rows and at the model that made them (`bri reproduce`); with a better one, materialize the"
    " table and committed_video of this partition again.",
    "volume": "See whether the video shows that much, or that little.",
}

#: The look.
QUALITY = Look("quality", tuple(_RULES.values()), _find)
