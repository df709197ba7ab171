"""One ingest of the sample clip and one of many odd files, which the tests then look at from all sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from bri_assets_tests.commands import ROOT, Bri

SAMPLE = ROOT / "data" / "sample" / "tour.mp4"


@pytest.fixture(scope="session")
def demo(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bri, str]:
    """`bri demo` with nothing set but where the weights lie, and what it printed."""
    bri = Bri(tmp_path_factory.mktemp("demo"), {"BRI_MODELS_DIR": str(models_dir)})
    return bri, bri("demo", SAMPLE)
