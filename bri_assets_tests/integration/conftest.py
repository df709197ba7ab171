"""One ingest of the sample clip and one of many odd files, which the tests then look at from all sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from bri_assets.models.pull import pull_detector, pull_transcriber
from bri_assets_tests.commands import ROOT, Bri

SAMPLE = ROOT / "data" / "sample" / "tour.mp4"


@pytest.fixture(scope="session")
def light(models_dir: Path) -> dict[str, str]:
    """Settings that need no BLIP and load quickly: captions from the detector, Whisper tiny.en."""
    pull_detector("yolo26n.pt", models_dir, print)
    pull_transcriber("tiny.en", models_dir, print)
    return {
        "BRI_MODELS_DIR": str(models_dir),
        "BRI_CAPTIONER": "objects",
        "BRI_TRANSCRIBER_MODEL": "tiny.en",
        "BRI_SETTLE_S": "0",
    }


@pytest.fixture(scope="session")
def demo(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bri, str]:
    """`bri demo` with nothing set but where the weights lie, and what it printed."""
    bri = Bri(tmp_path_factory.mktemp("demo"), {"BRI_MODELS_DIR": str(models_dir)})
    return bri, bri("demo", SAMPLE)
