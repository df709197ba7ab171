"""`bri watch`: what the outbox cannot say is told from outside, once, even with nothing left but a URL."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo
from typer.testing import CliRunner

from bri_assets.alerts import Messenger
from bri_assets.commands.watch import app
from bri_assets.findings import Finding
from bri_assets.settings import Settings
from bri_assets.store.outbox import Outbox
from bri_assets.watch import Memory, Report, watch
from bri_assets_tests.bundles import operations
from bri_assets_tests.unit.alerts.receivers import Webhook, free_port

T = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PARTS = ("SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook(free_port()).serving() as hook:
        yield hook


@pytest.fixture
def settings(tmp_path: Path, hook: Webhook) -> Settings:
    """A home with an empty store, whose daemon nobody expects."""
    operations(Outbox, tmp_path)
    return configured(tmp_path, hook, watch_daemon_s=0)


def configured(home: Path, hook: Webhook, **values: float) -> Settings:
    return Settings(home=home, alert_urls=hook.url, store_wait_s=0.5, alert_timeout_s=5, **values)


def run(settings: Settings, at: datetime = T) -> Report:
    return watch(settings, settings.home / "dagster", Messenger.of(settings), at)


def rules(report: Report) -> list[str]:
    return [finding.rule for finding in report.findings]


def titles(hook: Webhook) -> list[str]:
    return [title.removeprefix("BRI ").split(":")[0] for title in hook.titles]


def test_where_nothing_is_wrong_nothing_is_said(settings: Settings, hook: Webhook) -> None:
    assert run(settings) == Report([], [], [], 0)
    assert hook.taken == []


def corrupt(settings: Settings) -> None:
    settings.store_path.write_bytes(b"this is no database any more")


def lose(settings: Settings) -> None:
    shutil.rmtree(settings.store_path.parent)


def lose_everything(settings: Settings) -> None:
    shutil.rmtree(settings.home / "store")
    shutil.rmtree(settings.home / "staged", ignore_errors=True)


def unmount(settings: Settings) -> None:
    shutil.rmtree(settings.home)


def put_an_old_copy(settings: Settings) -> None:
    copy = settings.store_path.with_suffix(".old")
    shutil.copyfile(settings.store_path, copy)
    sync(settings, Finding("disk_low", "disk:/x", "Full.", "Act."))
    copy.replace(settings.store_path)


def sync(settings: Settings, *findings: Finding, at: datetime = T) -> None:
    labels = Messenger.of(settings).labels
    Outbox.of(settings).sync(list(findings), ["disk_low"], channels=labels, channel="test", now=at)


@pytest.mark.parametrize("harm", [corrupt, lose, lose_everything, put_an_old_copy])
def test_a_store_that_cannot_be_used_is_told_once_and_once_more_when_it_can(
    settings: Settings, hook: Webhook, harm: Callable[[Settings], None]
) -> None:
    sync(settings, Finding("disk_low", "disk:/y", "Full.", "Act."))
    whole = settings.home.with_name(f"{settings.home.name}-whole")
    shutil.copytree(settings.home, whole)
    harm(settings)
    for number in range(3):
        report = run(settings, T + number * MINUTE)
        assert rules(report) == ["store_unusable"], report
    assert titles(hook) == ["ERROR store_unusable"]
    assert "Next: " in hook.taken[0]["message"]
    for folder in ("store", "staged"):
        shutil.rmtree(settings.home / folder, ignore_errors=True)
        shutil.copytree(whole / folder, settings.home / folder)
    assert run(settings, T + 5 * MINUTE).well
    assert run(settings, T + 6 * MINUTE).well
    assert titles(hook) == ["ERROR store_unusable", "resolved store_unusable"]
    corrupt(settings)
    run(settings, T + 7 * MINUTE)
    first, _, again = (one["message"].rsplit("Alert ")[1][:18] for one in hook.taken)
    assert first != again, "it came back: another alert"


def test_a_home_that_is_gone_is_told_and_not_made(settings: Settings, hook: Webhook) -> None:
    unmount(settings)
    report = run(settings)
    assert rules(report) == ["store_unusable"]
    assert titles(hook) == ["ERROR store_unusable"]
    assert "is told again at each run" in report.troubles[-1]
    assert not settings.home.exists()


def test_a_store_that_is_busy_for_once_is_not_wrong(settings: Settings, hook: Webhook) -> None:
    with Outbox.of(settings).file.locked():
        first = run(settings)
        assert (first.findings, len(first.notes)) == ([], 1)
        assert rules(run(settings, T + MINUTE)) == ["store_unusable"]
    assert run(settings, T + 2 * MINUTE).well
    with Outbox.of(settings).file.locked():
        assert run(settings, T + 3 * MINUTE).findings == []
    assert titles(hook) == ["ERROR store_unusable", "resolved store_unusable"]


def test_a_far_side_that_is_down_is_told_when_it_is_back(settings: Settings, hook: Webhook) -> None:
    hook.status = 500
    corrupt(settings)
    report = run(settings)
    assert "error=500" in report.troubles[0]
    assert "a-long-secret" not in report.troubles[0] + settings.watch_path.read_text()
    settings.store_path.unlink()
    operations(Outbox, settings.home)
    assert run(settings, T + 10 * MINUTE).findings == []
    hook.status = 200
    run(settings, T + 30 * MINUTE)
    run(settings, T + 31 * MINUTE)
    assert titles(hook) == ["ERROR store_unusable", "resolved store_unusable"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"told": [{"alert_id": 3}]}', b"\xff" * 100])
def test_a_damaged_memory_is_replaced_and_said(settings: Settings, hook: Webhook, damage: bytes) -> None:
    corrupt(settings)
    run(settings)
    settings.watch_path.write_bytes(damage)
    report = run(settings, T + MINUTE)
    assert "cannot be read" in report.troubles[0]
    assert run(settings, T + 2 * MINUTE).troubles == []
    first, again = hook.taken
    assert first["message"].rsplit("Alert ")[1] == again["message"].rsplit("Alert ")[1], "a repeat, by its id"


def test_a_memory_that_cannot_be_written_is_said_and_what_is_wrong_is_told_all_the_same(
    settings: Settings, hook: Webhook
) -> None:
    settings.watch_path.mkdir()
    corrupt(settings)
    report = run(settings)
    assert any("What is wrong is told again at each run." in trouble for trouble in report.troubles)
    assert titles(hook) == ["ERROR store_unusable"]


def test_the_memory_can_be_written_over_where_no_new_file_can_be_made(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings)
    size = settings.watch_path.stat().st_size
    inode = settings.watch_path.stat().st_ino
    for number in range(20):
        settings.home.joinpath(f"f{number}").touch()

    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", no_room)
    memory = Memory(excused_at=T)
    memory.save(settings.watch_path)
    assert (settings.watch_path.stat().st_size, settings.watch_path.stat().st_ino) == (size, inode)
    assert Memory.load(settings.watch_path) == (memory, None)


def test_deliveries_that_are_tried_in_vain_are_told_by_the_other_channels(settings: Settings, hook: Webhook) -> None:
    away = Webhook(free_port())
    both = Settings(**{**settings.model_dump(include={"home", "store_wait_s", "watch_daemon_s", "alert_timeout_s"}),
                       "alert_urls": f"{away.url} {hook.url}"})  # fmt: skip
    sync(both, Finding("disk_low", "disk:/x", "Full.", "Act."))
    outbox = Outbox.of(both)
    label = Messenger.of(both).labels[0]
    keys = [one.key for one in outbox.due([label], now=T)]
    outbox.failed(label, keys, error="refused", next_attempt_at=T, channel="test", now=T)
    assert run(both, T + 10 * MINUTE).findings == []
    report = run(both, T + 40 * MINUTE)
    assert [finding.subject for finding in report.findings] == [f"channel:{label}"]
    assert titles(hook) == ["ERROR alerts_stuck"]
    with away.serving():
        outbox.delivered(label, keys, channel="test", now=T + 41 * MINUTE)
        assert run(both, T + 50 * MINUTE).well
    assert titles(hook) == ["ERROR alerts_stuck", "resolved alerts_stuck"]
    assert titles(away) == titles(hook)


def test_alerts_that_nobody_is_told_of_are_mentioned_and_not_wrong(settings: Settings) -> None:
    sync(settings, Finding("disk_low", "disk:/x", "Full.", "Act."))
    nobody = Settings(home=settings.home, watch_daemon_s=0)
    report = run(nobody)
    assert report.well
    assert "1 alert(s) are open" in report.notes[0]


class Daemon:
    """Dagster's instance of a home, as a daemon leaves it: heartbeats, and ticks of the sensor `alerts`."""

    def __init__(self, home: Path) -> None:
        folder = home / "dagster"
        folder.mkdir(parents=True)
        folder.joinpath("dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.folder = folder
        location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="bri_assets.definitions"))
        self._origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), "alerts")

    def instance(self) -> DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.folder))

    def beat(self, at: datetime, daemon_id: str = "one", parts: tuple[str, ...] = PARTS) -> None:
        with self.instance() as instance:
            for part in parts:
                instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), part, daemon_id))

    def tick(self, at: datetime, failure: str | None = None) -> None:
        status = TickStatus.SKIPPED if failure is None else TickStatus.FAILURE
        error = None if failure is None else SerializableErrorInfo(failure, [], "BriError")
        with self.instance() as instance:
            instance.create_tick(
                TickData(
                    self._origin.get_id(),
                    "alerts",
                    InstigatorType.SENSOR,
                    status,
                    at.timestamp(),
                    selector_id=self._origin.get_selector().get_id(),
                    error=error,
                )
            )

    def state(self, status: InstigatorStatus) -> None:
        selector = self._origin.get_selector().get_id()
        state = InstigatorState(self._origin, InstigatorType.SENSOR, status, SensorInstigatorData())
        with self.instance() as instance:
            known = instance.get_instigator_state(self._origin.get_id(), selector)
            instance.update_instigator_state(state) if known else instance.add_instigator_state(state)


@pytest.fixture
def daemon(settings: Settings) -> Daemon:
    return Daemon(settings.home)


@pytest.fixture
def watched(settings: Settings, hook: Webhook) -> Settings:
    return configured(settings.home, hook)


def test_a_daemon_that_died_is_told_and_its_sensor_is_not_blamed_before_it_had_time(
    watched: Settings, daemon: Daemon, hook: Webhook
) -> None:
    daemon.state(InstigatorStatus.DECLARED_IN_CODE)
    daemon.beat(T)
    daemon.tick(T)
    assert run(watched, T + MINUTE).well
    report = run(watched, T + 20 * MINUTE)
    assert rules(report) == ["daemon_dead"]
    assert "sensor" in report.findings[0].summary
    run(watched, T + 21 * MINUTE)
    daemon.beat(T + 25 * MINUTE, "two")
    assert run(watched, T + 25 * MINUTE).well
    assert titles(hook) == ["ERROR daemon_dead", "resolved daemon_dead"]
    daemon.beat(T + 40 * MINUTE, "two")
    assert rules(run(watched, T + 40 * MINUTE)) == ["alerts_stuck"]


def test_a_part_of_the_daemon_that_is_silent_is_named(watched: Settings, daemon: Daemon) -> None:
    daemon.beat(T)
    daemon.beat(T + 30 * MINUTE, parts=PARTS[1:])
    (finding,) = run(watched, T + 30 * MINUTE).findings
    assert finding.summary.startswith("Of Dagster's daemon, sensor gave no sign of life since 2026-03-01 12:00")


def test_a_daemon_that_never_reported_is_wrong_where_somebody_wants_to_be_told(
    watched: Settings, settings: Settings, hook: Webhook
) -> None:
    assert rules(run(watched)) == ["daemon_dead"]
    assert run(settings, T + MINUTE) == Report([], [], [], 1), "told that it is over: none is expected"
    report = run(Settings(home=settings.home), T + 2 * MINUTE)
    assert report.well
    assert "has never reported" in report.notes[0]
    assert titles(hook) == ["ERROR daemon_dead", "resolved daemon_dead"]


def test_a_sensor_that_fails_for_long_is_told_with_why(watched: Settings, daemon: Daemon, hook: Webhook) -> None:
    daemon.state(InstigatorStatus.DECLARED_IN_CODE)
    daemon.tick(T)
    for number in range(3):
        at = T + number * 6 * MINUTE
        daemon.beat(at)
        daemon.tick(at + MINUTE / 2, "URL 1 is none that alerts can be sent to.")
        found = run(watched, at + MINUTE).findings
    (finding,) = found
    assert finding.rule == "alerts_stuck"
    assert "URL 1 is none" in finding.summary
    assert "looked last at 2026-03-01 12:00" in finding.summary
    daemon.beat(T + 15 * MINUTE)
    daemon.tick(T + 15 * MINUTE)
    assert run(watched, T + 15 * MINUTE).well
    assert titles(hook) == ["ERROR alerts_stuck", "resolved alerts_stuck"]


def test_a_sensor_that_is_switched_off_is_told(watched: Settings, daemon: Daemon) -> None:
    daemon.beat(T)
    daemon.state(InstigatorStatus.STOPPED)
    (finding,) = run(watched, T + MINUTE).findings
    assert (finding.rule, finding.subject) == ("alerts_stuck", "sensor:alerts")
    assert "switched off" in finding.summary


@pytest.mark.parametrize("harm", ["yaml", "database"])
def test_an_instance_that_cannot_be_used_is_a_daemon_that_cannot_work(
    watched: Settings, daemon: Daemon, harm: str
) -> None:
    daemon.beat(T)
    if harm == "yaml":
        daemon.folder.joinpath("dagster.yaml").write_text("storage: [not: {a mapping")
    else:
        for path in daemon.folder.rglob("*.db"):
            path.write_bytes(b"no database" * 1000)
    (finding,) = run(watched, T + MINUTE).findings
    assert finding.rule == "daemon_dead"
    assert "cannot be used" in finding.summary


def test_a_destroyed_store_hides_what_follows_from_it(watched: Settings, daemon: Daemon, hook: Webhook) -> None:
    daemon.state(InstigatorStatus.DECLARED_IN_CODE)
    daemon.beat(T)
    daemon.tick(T)
    run(watched)
    corrupt(watched)
    for number in range(1, 5):
        at = T + number * 10 * MINUTE
        daemon.beat(at)
        daemon.tick(at, "cannot be used as a database")
        assert rules(run(watched, at)) == ["store_unusable"]
    watched.store_path.unlink()
    operations(Outbox, watched.home)
    daemon.beat(T + 41 * MINUTE)
    assert run(watched, T + 41 * MINUTE).well, "the sensor gets its time"
    assert titles(hook) == ["ERROR store_unusable", "resolved store_unusable"]


def test_the_command(settings: Settings, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOME": settings.home, "ALERT_URLS": hook.url, "WATCH_DAEMON_S": 0}.items():
        monkeypatch.setenv(f"BRI_{name}", str(value))
    runner = CliRunner()
    well = runner.invoke(app, [])
    assert (well.exit_code, well.stdout) == (0, "Nothing is wrong.\n")
    assert not settings.home.joinpath("dagster").exists(), "no folder is made"
    corrupt(settings)
    settings.watch_path.write_text("damaged")
    wrong = runner.invoke(app, ["--json"])
    assert wrong.exit_code == 1
    report = json.loads(wrong.stdout)
    assert [finding["rule"] for finding in report["findings"]] == ["store_unusable"]
    assert report["messages"] == 1
    assert "cannot be read" in wrong.stderr
    assert runner.invoke(app, []).exit_code == 1
    assert titles(hook) == ["ERROR store_unusable"]
