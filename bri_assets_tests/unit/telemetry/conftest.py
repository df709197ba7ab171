"""Processes that tell, and homes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bri_assets_tests.commands import ROOT


@dataclass(frozen=True)
class Workers:
    """Starts ``work`` with a BRI_HOME."""

    home: Path

    def run(self, mode: str, *, exits: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        done = subprocess.run(
            self._command(mode), env=self._environment(variables), cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done

    def start(self, mode: str, **variables: str) -> subprocess.Popen[str]:
        """Start it and leave it running."""
        return subprocess.Popen(
            self._command(mode),
            env=self._environment(variables),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _command(self, mode: str) -> list[str]:
        return [sys.executable, "-m", "bri_assets_tests.unit.telemetry.work", mode]

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRI_", "OTEL_"))}
        return kept | {"BRI_HOME": str(self.home)} | variables


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    home = tmp_path / "data"
    home.mkdir()
    return Workers(home)
