"""The looks `machine`, `breakers` and `automation`: disks, backups, clock, dead models, sensors that fail."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta

import pytest
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import SerializableErrorInfo

from bri_assets.breaker import close, guarded, model_name
from bri_assets.definitions import build_defs
from bri_assets.errors import ModelFailed
from bri_assets.health.automation import AUTOMATION, automated
from bri_assets.health.breakers import BREAKERS
from bri_assets.health.machine import MACHINE
from bri_assets.store.recovery.backups import Backups
from bri_assets_tests.unit.health.conftest import Home

SOON = timedelta(hours=1)


def test_a_disk_that_is_nearly_full_is_found_once_however_many_of_our_folders_lie_on_it(healthy: Home) -> None:
    found = healthy.change(disk_free_min=0.9999).the("disk_low")
    assert found.subject == f"disk:{healthy.made.settings.home}"
    assert 0 < found.facts["free_share"] < 0.9999
    free_gb = shutil.disk_usage(healthy.made.settings.home).free / 1e9
    assert healthy.change(disk_free_min_gb=free_gb * 2).rules(MACHINE) == ["disk_low"]
    assert healthy.rules(MACHINE) == []


def test_a_folder_that_is_not_made_yet_lies_on_the_disk_above_it(healthy: Home) -> None:
    other = healthy.change(backups_dir=healthy.made.settings.home / "not" / "there", disk_free_min=0.9999)
    assert other.rules(MACHINE) == ["disk_low"]


def backup(healthy: Home) -> None:
    settings = healthy.made.settings
    Backups.of(settings).make(settings.backup_dir, keep=7, reason="asked", channel="test")


def test_a_store_without_a_backup_is_found_after_the_time_and_not_before(healthy: Home) -> None:
    assert healthy.rules(MACHINE, later=timedelta(hours=47)) == []
    assert "There is no backup" in healthy.the("backup_old", MACHINE, later=timedelta(hours=49)).summary
    backup(healthy)
    healthy.sql("UPDATE audit_log SET occurred_at = occurred_at - INTERVAL 100 HOUR")
    assert healthy.rules(MACHINE) == []


def test_a_backup_that_grew_old_or_whose_files_are_gone_is_found(healthy: Home) -> None:
    healthy.sql("UPDATE audit_log SET occurred_at = occurred_at - INTERVAL 100 HOUR")
    assert healthy.rules(MACHINE) == ["backup_old"]
    backup(healthy)
    assert healthy.rules(MACHINE, later=SOON) == []
    assert "The newest backup" in healthy.the("backup_old", MACHINE, later=timedelta(hours=49)).summary
    shutil.rmtree(healthy.made.settings.backup_dir)
    assert healthy.rules(MACHINE, later=SOON) == ["backup_lost", "backup_old"]


def test_a_backup_that_is_shorter_than_it_was_made_is_lost(healthy: Home) -> None:
    backup(healthy)
    (database,) = healthy.made.settings.backup_dir.glob("*/bri.duckdb")
    assert healthy.rules(MACHINE) == []
    database.write_bytes(database.read_bytes()[:-1])
    assert "instead of" in healthy.the("backup_lost", MACHINE).summary
    backup(healthy)
    assert healthy.rules(MACHINE) == []


def test_a_time_that_has_not_come_yet_is_found_until_it_has(healthy: Home) -> None:
    healthy.sql("UPDATE uploads SET updated_at = updated_at + INTERVAL 1 HOUR")
    found = healthy.the("clock_skew", MACHINE)
    assert found.facts["table"] == "uploads"
    assert found.facts["ahead_s"] == pytest.approx(3600, abs=600)
    assert healthy.rules(MACHINE, later=SOON) == []


def fail(healthy: Home) -> None:
    with pytest.raises(ModelFailed), guarded(healthy.made.settings, model_name("a-model")):
        raise ModelFailed("a-model", "it raised.", "Look at it.")


def test_a_model_that_is_not_asked_is_found_until_it_works_again(healthy: Home) -> None:
    for _ in range(healthy.made.settings.breaker_failures - 1):
        fail(healthy)
    assert healthy.rules(BREAKERS) == []
    fail(healthy)
    found = healthy.the("model_failing")
    assert found.subject == "breaker:model:a-model"
    assert "it raised" in found.summary
    close(healthy.made.settings.home, model_name("a-model"))
    assert healthy.find() == []


def state(healthy: Home, name: str, status: InstigatorStatus, location: str = "here") -> InstigatorState:
    """What Dagster remembers of a sensor of ours."""
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(
            InProcessCodeLocationOrigin(
                LoadableTargetOrigin(module_name="bri_assets.definitions"), location_name=location
            ),
            "__repository__",
        ),
        name,
    )
    made = InstigatorState(origin, InstigatorType.SENSOR, status, SensorInstigatorData(min_interval=30))
    if healthy.made.instance.get_instigator_state(origin.get_id(), made.selector_id) is None:
        healthy.made.instance.add_instigator_state(made)
    else:
        healthy.made.instance.update_instigator_state(made)
    return made


def tick(healthy: Home, of: InstigatorState, status: TickStatus, at: float | None = None, error: str = "") -> None:
    said = SerializableErrorInfo(error, [], "StoreBusy") if status is TickStatus.FAILURE else None
    healthy.made.instance.create_tick(
        TickData(
            of.instigator_origin_id,
            of.name,
            InstigatorType.SENSOR,
            status,
            at or time.time(),
            run_ids=[],
            selector_id=of.selector_id,
            error=said,
            skip_reason="nothing to do" if status is TickStatus.SKIPPED else None,
        )
    )


def test_a_sensor_whose_last_tick_failed_is_found_until_one_succeeds(healthy: Home) -> None:
    uploads = state(healthy, "uploads", InstigatorStatus.DECLARED_IN_CODE)
    tick(healthy, uploads, TickStatus.SUCCESS)
    assert healthy.rules(AUTOMATION) == []
    tick(healthy, uploads, TickStatus.FAILURE, error="StoreBusy: it is held\nTraceback")
    tick(healthy, uploads, TickStatus.STARTED)
    found = healthy.the("automation_failing")
    assert found.subject == "sensor:uploads"
    assert "it is held" in found.summary
    assert "Traceback" not in found.summary
    tick(healthy, uploads, TickStatus.SKIPPED)
    assert healthy.find() == []


def test_a_sensor_that_is_switched_off_is_found_until_it_is_on(healthy: Home) -> None:
    tick(healthy, state(healthy, "uploads", InstigatorStatus.STOPPED), TickStatus.FAILURE, error="long ago")
    found = healthy.the("automation_stopped")
    assert "files that arrive are not ingested" in found.summary
    assert healthy.rules(AUTOMATION) == ["automation_stopped"]
    tick(healthy, state(healthy, "uploads", InstigatorStatus.RUNNING), TickStatus.SUCCESS)
    assert healthy.find() == []


def test_a_sensor_of_another_project_or_under_an_older_location_is_nobodys_fault(healthy: Home) -> None:
    state(healthy, "somebody_elses", InstigatorStatus.STOPPED)
    tick(healthy, state(healthy, "uploads", InstigatorStatus.STOPPED, "long ago"), TickStatus.FAILURE, at=1.0)
    tick(healthy, state(healthy, "uploads", InstigatorStatus.DECLARED_IN_CODE), TickStatus.SUCCESS)
    assert healthy.rules(AUTOMATION) == []


def test_every_sensor_and_schedule_of_the_definitions_is_looked_at(healthy: Home) -> None:
    repository = build_defs(healthy.made.settings).get_repository_def()
    there = {one.name for one in [*repository.sensor_defs, *repository.schedule_defs]}
    assert there <= automated(healthy.made.settings)


def test_a_schedule_that_the_settings_switch_off_is_not_missed(healthy: Home) -> None:
    assert "scheduled_back_up" in automated(healthy.made.settings)
    assert "scheduled_back_up" not in automated(healthy.made.settings.model_copy(update={"backup_cron": "off"}))
