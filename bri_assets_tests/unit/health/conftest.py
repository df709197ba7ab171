"""A home in which one video was ingested, once a session; each test breaks a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from bri_assets.definitions import build_defs
from bri_assets.findings import Finding
from bri_assets.health.look import Look, Scene
from bri_assets.health.looks import LOOKS
from bri_assets.jobs import INGEST
from bri_assets.runs import ATTEMPT_TAG, settle_all
from bri_assets.store import Claim
from bri_assets_tests.clips import make_clip
from bri_assets_tests.pipeline import Pipeline, pipeline

#: Nothing of the machine that the tests run on is a finding.
ANY_DISK = {"disk_free_min": 0, "disk_free_min_gb": 0}


@dataclass(frozen=True)
class Home:
    """A copy of the home that was ingested into."""

    made: Pipeline
    video_id: str

    def change(self, **settings: Any) -> Home:
        """The same with other settings."""
        changed = self.made.settings.model_copy(update=settings)
        return Home(Pipeline(changed, self.made.instance, self.made.overrides), self.video_id)

    def sql(self, *statements: str) -> None:
        """Change the database behind the store's back."""
        with duckdb.connect(str(self.made.settings.store_path)) as connection:
            for statement in statements:
                connection.execute(statement)

    def find(self, *looks: Look, later: timedelta = timedelta(0)) -> list[Finding]:
        """What the looks find, by default all of them."""
        scene = Scene(self.made.settings, self.made.instance, datetime.now(UTC) + later)
        return [finding for look in looks or LOOKS for finding in look.find(scene)]

    def rules(self, *looks: Look, later: timedelta = timedelta(0)) -> list[str]:
        """The rules of what they find."""
        return [finding.rule for finding in self.find(*looks, later=later)]

    def the(self, rule: str, *looks: Look, later: timedelta = timedelta(0)) -> Finding:
        """The one finding of a rule."""
        (found,) = [finding for finding in self.find(*looks, later=later) if finding.rule == rule]
        return found

    def attempt(self, claim: Claim, **tags: str) -> dg.ExecuteInProcessResult:
        """Run an upload's attempt as the daemon would, and settle it as the sensor would."""
        job = build_defs(self.made.settings, resource_overrides=self.made.overrides).resolve_job_def(INGEST)
        result = job.execute_in_process(
            instance=self.made.instance,
            partition_key=claim.video_id,
            tags={ATTEMPT_TAG: claim.attempt_id, **tags},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        settle_all(self.made.instance, self.made.store, self.made.store.pending())
        return result


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory, light: dict[str, Any]) -> tuple[Path, str]:
    """A home with one video, ingested as the sensor does it; and the video's id."""
    home = tmp_path_factory.mktemp("ingested") / "data"
    with pipeline(home, **light, **ANY_DISK) as made:
        made.settings.uploads_dir.mkdir(parents=True)
        claim = made.accept(make_clip(made.settings.uploads_dir / "clip.mp4", seconds=3))
        assert Home(made, claim.video_id).attempt(claim).success
    return home, claim.video_id


@pytest.fixture
def healthy(ingested: tuple[Path, str], tmp_path: Path, light: dict[str, Any]) -> Iterator[Home]:
    """A copy of it."""
    original, video_id = ingested
    # The upload stays where it was ingested from.
    shutil.copytree(original, tmp_path / "data", ignore=shutil.ignore_patterns("uploads"))
    (tmp_path / "data" / "uploads").mkdir()
    with pipeline(tmp_path / "data", **light, **ANY_DISK) as made:
        yield Home(made, video_id)
