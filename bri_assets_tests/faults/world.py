"""A BRI_HOME with everything that keeps it, in the test's own process: what the daemon would do, tick by tick.

The ticks are the sensors' own functions on a real instance and store, runs are the real job, the far side of the alerts
is a real HTTP server; only the clock is the test's. The daemon itself is tried in ``integration/test_ui`` and
``integration/test_reconcile``. What does not belong here: what is broken (``breakage``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterEventType

from bri_assets.alerts import Messenger, deliver
from bri_assets.definitions import build_defs
from bri_assets.health.consequences import without_consequences
from bri_assets.health.disagreements import compare
from bri_assets.health.look import Scene
from bri_assets.health.looks import LOOKS
from bri_assets.intake import Intake
from bri_assets.jobs import INGEST
from bri_assets.sensors.alerts import alerts_tick
from bri_assets.sensors.reconcile import carry_out
from bri_assets.sensors.uploads import Examiner, intake_tick, requests_of
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.outbox import Alert, Outbox
from bri_assets_tests.unit.alerts.receivers import Webhook

__all__ = ["World", "opened"]


@dataclass
class World:
    """A home that is kept.

    Args:
        settings: of its processes.
        instance: Dagster's.
        hook: where its alerts go.
        later: how far the test's clock is ahead of the machine's.
        overrides: resources in place of the settings' own.
    """

    settings: Settings
    instance: dg.DagsterInstance
    hook: Webhook
    later: timedelta = timedelta(0)
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The test's time."""
        return datetime.now(UTC) + self.later

    @property
    def store(self) -> Store:
        """The store."""
        return Store.of(self.settings)

    @property
    def outbox(self) -> Outbox:
        """The outbox."""
        return Outbox.of(self.settings)

    @property
    def scene(self) -> Scene:
        """What the looks look at."""
        return Scene(self.settings, self.instance, self.now)

    def set(self, **settings: Any) -> None:
        """From now on, its processes have other settings."""
        self.settings = self.settings.model_copy(update=settings)

    @property
    def defs(self) -> dg.Definitions:
        """The definitions as its settings make them."""
        return build_defs(self.settings, resource_overrides=self.overrides)

    def run(
        self, job: str, partition: str | None = None, config: Mapping[str, Any] | None = None, **more: Any
    ) -> dg.ExecuteInProcessResult:
        """Run a job, whatever comes of it."""
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            raise_on_error=False,
            run_config={**(config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            **more,
        )

    def bring(self, path: Path) -> None:
        """Drop a file, and let the daemon do what it does."""
        shutil.copy(path, self.settings.uploads_dir / path.name)
        self.work()

    def work(self) -> None:
        """The sensors `uploads` and `reconcile` and the runs that they ask for, until they ask for no more."""
        while requests := self._tick():
            for request in requests:
                selection = list(request.asset_selection) if request.asset_selection else None
                more: dict[str, Any] = {} if selection is None else {"asset_selection": selection}
                job = request.job_name or INGEST
                self.run(job, request.partition_key, request.run_config, tags=dict(request.tags), **more)

    def _tick(self) -> list[dg.RunRequest]:
        store = self.store
        with dg.build_sensor_context(instance=self.instance) as context:
            wanted = intake_tick(context, self.settings, Intake(store, store.staging), store, Examiner())
            requests = list(requests_of(context, self.settings, wanted))
        self.instance.add_dynamic_partitions("videos", [one.video_id for one in wanted])
        return requests + carry_out(self.instance, self.settings, compare(self.scene).repairs).requests

    def verify(self) -> None:
        """The scheduled verification of all that is committed."""
        done = self.run("verify")
        assert done.success, [event.message for event in done.get_step_failure_events()]

    def look(self) -> list[str]:
        """The sensor `alerts`: what a person is told by it, each as `FIRED rule subject` or `RESOLVED …`."""
        before = len(self.hook.taken)
        alerts_tick(self.scene, LOOKS, self.outbox, Messenger.of(self.settings))
        # The tick delivers by the machine's clock; what a test's clock makes due is delivered by that.
        deliver(self.outbox, Messenger.of(self.settings), channel="test", budget_s=20, now=lambda: self.now)
        return [one["title"] for one in self.hook.taken[before:]]

    def alerts(self) -> list[Alert]:
        """What is open."""
        return self.outbox.alerts(include_resolved=False)

    def verdict(self, asset: str, check: str, partition: str | None = None) -> bool | None:
        """The last verdict of a check on a partition; None where there is none."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        for record in self.instance.event_log_storage.get_asset_check_execution_history(key, limit=100):
            event = record.event.dagster_event if record.event else None
            if event is None or event.event_type is not DagsterEventType.ASSET_CHECK_EVALUATION:
                continue
            found = event.asset_check_evaluation_data
            if found.partition == partition:
                return bool(found.passed)
        return None

    def state(self, filename: str) -> str:
        """The state of an upload."""
        return str(next(row["state"] for row in self.store.status() if row["filename"] == filename))

    def findings(self) -> list[tuple[str, str]]:
        """Rule and subject of all that is wrong."""
        found = [finding for look in LOOKS for finding in look.find(self.scene)]
        return [(finding.rule, finding.subject) for finding in without_consequences(found)]


@contextmanager
def opened(home: Path, hook: Webhook, settings: Settings) -> Iterator[World]:
    """A world over a home that is there, or is made.

    Args:
        home: BRI_HOME.
        hook: where its alerts go; it serves already.
        settings: all but the home and the address.
    """
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    (home / "uploads").mkdir(exist_ok=True)
    with dg.DagsterInstance.local_temp(str(home / "dagster"), {"telemetry": {"enabled": False}}) as instance:
        mine = Settings.model_validate(settings.model_dump() | {"home": home, "alert_urls": hook.url})
        yield World(mine, instance, hook)


#: What is done to a world, or asked of it.
Deed = Callable[[World], Any]
