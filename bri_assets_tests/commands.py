"""The command `bri` as a person runs it: a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bri_assets.staging import StagingArea
from bri_assets.store import Store, StoreFile

__all__ = ["Bri"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Bri:
    """`bri` with a BRI_HOME.

    Args:
        home: BRI_HOME.
        settings: further variables, such as BRI_CAPTIONER.
    """

    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """This process's variables without any BRI_* or DAGSTER_* but those named here."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRI_", "DAGSTER_"))}
        return kept | {"BRI_HOME": str(self.home), "COLUMNS": "200", **self.settings}

    @property
    def command(self) -> list[str]:
        """How the command is started."""
        return [sys.executable, "-m", "bri_assets.cli"]

    @property
    def store(self) -> Store:
        """The store of this home, opened by the test's own process."""
        return Store(self.home, StoreFile(self.home / "store" / "bri.duckdb"), StagingArea(self.home / "staged"))

    def __call__(self, *arguments: str | Path, exits: int = 0) -> str:
        """Run it; returns what it printed, and fails where the exit status is another than ``exits``."""
        done = self.run(*arguments)
        assert done.returncode == exits, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def run(self, *arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """Run it, whatever comes of it."""
        command = [*self.command, *map(str, arguments)]
        return subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=280
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start it and leave it running."""
        return subprocess.Popen(
            [*self.command, *map(str, arguments)],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def json(self, *arguments: str | Path) -> Any:
        """Run it with --json; returns what it printed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def status(self) -> dict[str, dict[str, Any]]:
        """`bri status --json` by file name."""
        return {row["filename"]: row for row in self.json("status")}
