"""What tests of every kind share: the weights, pulled once, and homes of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bri_assets.models.pull import pull_detector, pull_embedder, pull_transcriber
from bri_assets_tests.commands import ROOT

#: Where the weights lie: what BRI_MODELS_DIR names, else `data/models` of the checkout; they stay there.
MODELS_DIR = Path(os.environ.get("BRI_MODELS_DIR") or ROOT / "data" / "models").absolute()

#: The embedder that search uses by default.
EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"

# No setting of the person who runs the tests reaches them.
for name in [name for name in os.environ if name.startswith(("BRI_", "DAGSTER_"))]:
    del os.environ[name]
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The size of the fault suite."""
    group = parser.getgroup("faults")
    group.addoption("--kills", type=int, help="kill so many processes, and write what was found to docs/faults.md")
    group.addoption("--kill-seed", type=int, help="seed of the points and moments at which they are killed")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of the weights."""
    return MODELS_DIR


@pytest.fixture(scope="session")
def light(models_dir: Path) -> dict[str, Any]:
    """Settings that need no BLIP and load quickly: captions from the detector, Whisper tiny.en."""
    pull_detector("yolo26n.pt", models_dir, print)
    pull_transcriber("tiny.en", models_dir, print)
    pull_embedder(EMBEDDER, models_dir, print)
    return {"models_dir": models_dir, "captioner": "objects", "transcriber_model": "tiny.en", "settle_s": 0}


@pytest.fixture(scope="session")
def light_variables(light: dict[str, Any]) -> dict[str, str]:
    """The same, as variables of the environment."""
    return {f"BRI_{name}".upper(): str(value) for name, value in light.items()}
