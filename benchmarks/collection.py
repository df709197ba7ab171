"""``python -m benchmarks.collection``: many short videos, some bad, are ingested; what is a person told of them?

What does not belong here: how fast anything is (``store``), and faults one by one (the fault suite has them).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import typer
from rich.console import Console

from bri_assets.alerts import Messenger
from bri_assets.health.look import Scene
from bri_assets.health.looks import LOOKS
from bri_assets.sensors.alerts import alerts_tick
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.outbox import Outbox
from bri_assets_tests.clips import cut, make_audio, make_clip, make_text, replace_bytes
from bri_assets_tests.unit.alerts.receivers import Webhook, free_port

__all__ = ["main"]

_RESULTS = Path(__file__).parent / "results" / "collection.json"

_SOUNDS = (None, "tone", "speech", "silence")


def _undecodable(path: Path) -> Path:
    return replace_bytes(make_clip(path.with_suffix(".mkv"), audio="tone"), b"A_AAC", b"A_XXX")


#: Kinds of bad files; each is no video, or one whose ingest fails.
_BAD: tuple[Callable[[Path], object], ...] = (
    make_text,
    lambda path: cut(make_clip(path, seconds=8), 0.6),
    Path.touch,
    lambda path: make_audio(path.with_suffix(".m4a")),
    _undecodable,
)


def main(
    videos: Annotated[int, typer.Option(min=20, help="Files in all.")] = 200,
    bad: Annotated[float, typer.Option(min=0, max=1, help="Share of bad ones among them.")] = 0.05,
    models_dir: Annotated[Path, typer.Option(help="Where the models' weights are.")] = Path("data/models"),
    results: Annotated[Path, typer.Option(help="Where the figures are written, as JSON.")] = _RESULTS,
) -> None:
    """Ingest a collection with bad files among it, by `bri ingest`, and print the alerts that a person gets."""
    console = Console(width=120, highlight=False)
    with tempfile.TemporaryDirectory(prefix="bri-collection-") as folder, Webhook(free_port()).serving() as hook:
        home, brought = Path(folder, "home"), Path(folder, "brought")
        brought.mkdir()
        wrong = _make(brought, videos, round(videos * bad))
        _set_up(home, models_dir, hook)
        started = time.monotonic()
        ingest = subprocess.run([sys.executable, "-m", "bri_assets.cli", "ingest", str(brought)], check=False)  # noqa: S603 - our own words
        seconds = time.monotonic() - started
        settings = Settings()
        with dg.DagsterInstance.get() as instance:
            said = alerts_tick(
                Scene(settings, instance, datetime.now(UTC)), LOOKS, Outbox.of(settings), Messenger.of(settings)
            )
        record = _judged(Store.of(settings).status(), wrong, hook.taken) | {
            "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 1),
            "seconds_a_video": round(seconds / videos, 2),
            "exit_status": ingest.returncode,
            "sensor_said": said,
        }
    for message in hook.taken:
        console.rule(message["title"])
        console.print(message["message"])
    console.print_json(data=record)
    results.write_text(json.dumps(record, indent=2) + "\n")


def _make(folder: Path, videos: int, bad: int) -> set[str]:
    """Write the files; returns the names of the bad ones."""
    wrong: set[str] = set()
    for number in range(videos):
        before = set(folder.iterdir())
        if number % (videos // bad if bad else videos + 1) == 3 and len(wrong) < bad:
            # A text of its own each, or it would be the same upload under two names.
            _BAD[len(wrong) % len(_BAD)](folder / f"bad-{number:03}.mp4")
            wrong |= {path.name for path in set(folder.iterdir()) - before}
        else:
            sound: Any = _SOUNDS[number % len(_SOUNDS)]
            path = folder / f"good-{number:03}.mp4"
            make_clip(path, seconds=2 + number % 4, fps=8 + number // 4 % 60, audio=sound)
    return wrong


def _set_up(home: Path, models_dir: Path, hook: Webhook) -> None:
    for name in [name for name in os.environ if name.startswith(("BRI_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ |= {
        "BRI_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "BRI_MODELS_DIR": str(models_dir.absolute()),
        "BRI_CAPTIONER": "objects",
        "BRI_TRANSCRIBER_MODEL": "tiny.en",
        "BRI_SETTLE_S": "0",
        "BRI_ALERT_URLS": hook.url,
    }


def _judged(status: list[dict[str, Any]], wrong: set[str], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What came of the files, and whether a person was told of each bad one, and of nothing else."""
    good = [row for row in status if row["filename"] not in wrong]
    bad = [row for row in status if row["filename"] in wrong]
    told = "\n".join(f"{message['title']}\n{message['message']}" for message in messages)
    return {
        "files": len(status),
        "good": len(good),
        "good_by_state": dict(Counter(row["state"] for row in good)),
        "bad": len(bad),
        "bad_by_state": dict(Counter(f"{row['state']} ({row['code']})" for row in bad)),
        "bad_without_reason": [row["filename"] for row in bad if not row["reason"]],
        "bad_not_told": [row["filename"] for row in bad if row["filename"] not in told],
        "messages_sent": len(messages),
        "words_to_read": len(told.split()),
    }


if __name__ == "__main__":
    typer.run(main)
