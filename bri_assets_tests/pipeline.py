"""The real job in the test's own process: real assets, resources and instance, in a home of its own.

For tests that run parts of the job, or break something between two of its steps; models stay loaded from test to test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from bri_assets.definitions import build_defs
from bri_assets.intake import Intake, examine
from bri_assets.jobs import INGEST
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import Claim, Store

__all__ = ["Pipeline", "pipeline"]


@dataclass(frozen=True)
class Pipeline:
    """The job with its instance.

    Args:
        settings: of its home.
        instance: Dagster's, on disk.
        overrides: resources in place of the settings' own.
    """

    settings: Settings
    instance: dg.DagsterInstance
    overrides: dict[str, Any]

    @property
    def staging(self) -> StagingArea:
        """The staging area of its home."""
        return self.store.staging

    @property
    def store(self) -> Store:
        """The store of its home."""
        return Store.of(self.settings)

    def accept(self, path: Path) -> Claim:
        """Take a file in, as `bri ingest` does before it runs anything."""
        admission = Intake(self.store, self.staging).admit(examine(path), requested_by="cli")
        assert admission.claim is not None, admission.refusal
        self.instance.add_dynamic_partitions("videos", [admission.claim.video_id])
        return admission.claim

    def run(self, video_id: str, assets: Sequence[str] | None = None) -> dg.ExecuteInProcessResult:
        """Run the job, or some of its assets, for one partition; a failure is a result too."""
        job = build_defs(self.settings, resource_overrides=self.overrides).resolve_job_def(INGEST)
        return job.execute_in_process(
            instance=self.instance,
            partition_key=video_id,
            asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def verdict(self, asset: str, check: str) -> Any:
        """The last evaluation of a check, as the UI shows it; it names its partition."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        records = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        assert records, f"{asset}:{check} was never evaluated"
        event = records[0].event
        assert event is not None
        assert event.dagster_event is not None
        return event.dagster_event.asset_check_evaluation_data


@contextmanager
def pipeline(home: Path, overrides: dict[str, Any] | None = None, **settings: Any) -> Iterator[Pipeline]:
    """A pipeline with a home of its own.

    Args:
        home: BRI_HOME.
        overrides: resources in place of the settings' own.
        **settings: fields of ``Settings``.
    """
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.local_temp(str(home / "dagster"), {"telemetry": {"enabled": False}}) as instance:
        yield Pipeline(Settings(home=home, **settings), instance, overrides or {})
