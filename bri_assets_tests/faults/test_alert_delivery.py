"""Alerts reach a person once, whatever happens on the way: servers refuse, hang, go and come back; kills; owners."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from bri_assets.alerts import Delivered, Messenger, deliver
from bri_assets.errors import AlertUrlWrong, StoreDamaged
from bri_assets.findings import Finding
from bri_assets.health.look import Look, Scene
from bri_assets.sensors.alerts import alerts_tick, build_alerts_sensor
from bri_assets.settings import Settings
from bri_assets.store import Store
from bri_assets.store.outbox import Outbox
from bri_assets_tests.faults import jobs
from bri_assets_tests.faults.killing import Point, Worker, arm
from bri_assets_tests.unit.alerts.receivers import Mailbox, Webhook, free_port, silent

T = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DISK = Finding("disk_low", "disk:/data", "1.0 GB are left.", "Make room.")


def late(number: int) -> Finding:
    return Finding("not_fresh", f"video:v{number}", f"Video {number} is late.", f"bri ingest v{number}.mp4")


def configured(home: Path, *urls: str, **others: float) -> Settings:
    return Settings(home=home, alert_urls=" ".join(urls), alert_timeout_s=others.get("timeout_s", 5))


def sync(settings: Settings, *findings: Finding, at: datetime = T) -> None:
    labels = Messenger.of(settings).labels
    Outbox.of(settings).sync(list(findings), ["disk_low", "not_fresh"], channels=labels, channel="test", now=at)


def send(settings: Settings, at: datetime = T) -> Delivered:
    return deliver(Outbox.of(settings), Messenger.of(settings), channel="test", budget_s=60, now=lambda: at)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook(free_port()).serving() as hook:
        yield hook


def test_a_target_that_is_down_for_an_hour_gets_one_message_within_minutes_of_coming_back(home: Path) -> None:
    hook = Webhook(free_port())
    settings = configured(home, hook.url)
    sync(settings, DISK)
    at, tries = T, 0
    while at < T + 60 * MINUTE:
        sync(settings, DISK, at=at)
        tries += len(send(settings, at).errors)
        at += MINUTE
    assert 10 <= tries <= 25
    with hook.serving():
        while not hook.taken:
            assert at <= T + 65 * MINUTE
            send(settings, at)
            at += MINUTE
        for _ in range(10):
            sync(settings, DISK, at=at)
            send(settings, at)
            at += MINUTE
        assert hook.titles == ["BRI ERROR disk_low: disk:/data"]
        assert DISK.alert_id(1) in hook.taken[0]["message"]
        sync(settings, at=at)
        send(settings, at)
        assert hook.titles[1:] == ["BRI resolved disk_low: disk:/data"]
        assert send(settings, at + 60 * MINUTE).messages == 0


def test_what_came_and_went_while_the_target_was_down_is_told_in_order(home: Path) -> None:
    hook = Webhook(free_port())
    settings = configured(home, hook.url)
    sync(settings, DISK)
    send(settings)
    sync(settings, at=T + MINUTE)
    with hook.serving():
        assert send(settings, T + 5 * MINUTE).messages == 2
    assert hook.titles == ["BRI ERROR disk_low: disk:/data", "BRI resolved disk_low: disk:/data"]
    assert "It was over at" in hook.taken[0]["message"]


@pytest.mark.parametrize("fate", ["refuses", "hangs", "away"])
def test_a_channel_that_does_not_work_keeps_no_other_one_waiting(home: Path, hook: Webhook, fate: str) -> None:
    with silent() as port, Mailbox(free_port(), refuses=True).serving() as box:
        broken = {"refuses": box, "hangs": Mailbox(port), "away": Mailbox(free_port())}[fate]
        settings = configured(home, broken.url, hook.url, timeout_s=0.5)
        sync(settings, DISK)
        done = send(settings)
        assert (done.messages, len(done.errors)) == (1, 1)
        assert "mailto" in done.errors[0].subject
        assert hook.titles == ["BRI ERROR disk_low: disk:/data"]
        (alert,) = Outbox.of(settings).alerts()
        state = {one.channel.split("-")[0]: (one.delivered_at is not None, one.last_error) for one in alert.deliveries}
        assert state["json"] == (True, None)
        assert state["mailto"][0] is False
        assert state["mailto"][1]
    if fate != "hangs":
        broken.refuses = False
        with broken.serving():
            assert send(settings, T + 6 * MINUTE).messages == 1
        assert [subject for subject, _ in broken.taken] == ["BRI ERROR disk_low: disk:/data"]
    assert len(hook.taken) == 1


def test_a_webhook_that_refuses_is_asked_again(home: Path, hook: Webhook) -> None:
    settings = configured(home, hook.url)
    hook.status = 500
    sync(settings, DISK)
    assert "error=500" in str(send(settings).errors[0])
    assert send(settings, T + MINUTE / 10).errors == [], "not before it is time"
    hook.status = 200
    send(settings, T + MINUTE)
    assert (len(hook.taken), hook.refused) == (1, 1)


def test_twelve_alerts_at_once_are_one_message(home: Path, hook: Webhook) -> None:
    settings = configured(home, hook.url)
    sync(settings, DISK, *map(late, range(11)))
    done = send(settings)
    assert (done.messages, done.notices) == (1, 12)
    assert hook.titles == ["BRI: 12 alerts (12 ERROR)"]
    assert all(finding.alert_id(1) in hook.taken[0]["message"] for finding in [DISK, *map(late, range(11))])
    sync(settings, DISK, *map(late, range(9)), at=T + MINUTE)
    assert send(settings, T + MINUTE).messages == 2, "few are told one by one"


def test_a_wrong_url_stops_no_other_one(home: Path, hook: Webhook) -> None:
    settings = configured(home, "bogus://secret", hook.url)
    sync(settings, DISK)
    assert send(settings).messages == 1
    assert len(Messenger.of(settings).wrong) == 1


def tell_and_die(_ready: jobs.Ready, home: Path, url: str) -> None:
    """Send what is due, and be killed before that is recorded."""
    arm(Point("sent, not recorded", "bri_assets.store.outbox.outbox:Outbox.delivered", "before"))
    send(configured(home, url))


def test_who_dies_between_sending_and_recording_sends_again_with_the_same_id(home: Path, hook: Webhook) -> None:
    settings = configured(home, hook.url)
    sync(settings, DISK)
    worker = Worker(home.with_name("worker.log"), tell_and_die, home, hook.url)
    assert worker.wait() == -9, worker.said()
    assert len(hook.taken) == 1
    assert send(settings).messages == 1
    assert send(settings, T + 60 * MINUTE).messages == 0
    first, second = hook.taken
    assert first == second
    assert DISK.alert_id(1) in first["message"]


def test_through_the_owner_of_the_store(home: Path, hook: Webhook) -> None:
    owner = Worker(home.with_name("owner.log"), jobs.own, home, None)
    owner.ready()
    settings = configured(home, hook.url)
    outbox = Outbox.of(settings)
    silence = outbox.silence("not_*", "*", until=T + 60 * MINUTE, reason="known", channel="test", now=T)
    sync(settings, DISK, late(1))
    assert send(settings).messages == 1
    assert outbox.silences(now=T) == [silence]
    outbox.lift(silence.silence_id, channel="test", now=T + MINUTE)
    hook.status = 500
    assert len(send(settings, T + MINUTE).errors) == 1
    assert [one.attempts for one in outbox.undelivered(Messenger.of(settings).labels)] == [1]
    hook.status = 200
    send(settings, T + 2 * MINUTE)
    assert {alert.rule for alert in outbox.alerts()} == {"disk_low", "not_fresh"}
    assert outbox.prove() == 2
    assert owner.terminate() == 0, owner.said()
    assert hook.titles == ["BRI ERROR disk_low: disk:/data", "BRI ERROR not_fresh: video:v1"]
    assert {alert.rule for alert in Outbox.of(settings).alerts()} == {"disk_low", "not_fresh"}


def found(*findings: Finding) -> Look:
    return Look("found", ("disk_low", "not_fresh"), lambda _: iter(findings))


def cannot_look(_: Scene) -> Iterator[Finding]:
    yield Finding("backlog", "queue", "Seen before it broke.", "Wait.")
    raise StoreDamaged("here", "nothing can be seen.")


def buggy(_: Scene) -> Iterator[Finding]:
    raise ZeroDivisionError("a bug in a look")
    yield


BROKEN = Look("broken", ("backlog",), cannot_look)
BUGGY = Look("buggy", ("backup_old",), buggy)


@pytest.fixture
def scene(home: Path, hook: Webhook) -> Iterator[Scene]:
    with dg.instance_for_test() as instance:
        yield Scene(configured(home, hook.url), instance, T)


def tick(scene: Scene, *looks: Look) -> str:
    return alerts_tick(scene, looks, Outbox.of(scene.settings), Messenger.of(scene.settings))


def test_a_tick_looks_remembers_and_tells(scene: Scene, hook: Webhook) -> None:
    assert tick(scene, found(DISK)) == "1 finding(s), 1 new, 0 resolved; 1 notice(s) in 1 message(s) sent."
    assert tick(scene, found(DISK)) == "1 finding(s), 0 new, 0 resolved; 0 notice(s) in 0 message(s) sent."
    assert tick(scene, found()) == "0 finding(s), 0 new, 1 resolved; 1 notice(s) in 1 message(s) sent."
    assert hook.titles == ["BRI ERROR disk_low: disk:/data", "BRI resolved disk_low: disk:/data"]


def test_a_look_that_breaks_fails_the_tick_after_the_others_were_told(scene: Scene, hook: Webhook) -> None:
    tick(scene, found(), Look("queue", ("backlog",), lambda _: iter([Finding("backlog", "queue", "Many.", "Wait.")])))
    with pytest.raises(StoreDamaged, match="nothing can be seen") as failure:
        tick(scene, BROKEN, BUGGY, found(DISK))
    assert isinstance(failure.value.__cause__, ExceptionGroup)
    with pytest.raises(ZeroDivisionError):
        tick(scene, BUGGY, found(DISK))
    assert hook.titles == ["BRI WARN backlog: queue", "BRI ERROR disk_low: disk:/data"]
    assert {alert.rule for alert in Outbox.of(scene.settings).alerts()} == {"backlog", "disk_low"}, "not resolved"


def test_a_wrong_url_fails_the_tick_after_the_others_were_told(scene: Scene, hook: Webhook) -> None:
    wrong = Scene(configured(scene.settings.home, "bogus://x", hook.url), scene.instance, T)
    with pytest.raises(AlertUrlWrong, match="URL 1"):
        tick(wrong, found(DISK))
    assert len(hook.taken) == 1


def test_what_follows_from_something_else_is_not_told_and_not_resolved(scene: Scene, hook: Webhook) -> None:
    effect = Finding("not_fresh", "video:v", "Late.", "Wait.", video_id="v")
    cause = Finding("ingest_failed", "video:v", "Failed.", "bri ingest", video_id="v")
    look = Look("uploads", ("ingest_failed", "not_fresh"), lambda _: iter([effect, cause]))
    tick(scene, look)
    assert hook.titles == ["BRI ERROR ingest_failed: video:v"]
    tick(scene, Look("uploads", look.rules, lambda _: iter([effect])))
    tick(scene, look)
    assert {alert.rule for alert in Outbox.of(scene.settings).alerts()} == {"ingest_failed", "not_fresh"}


def test_the_sensor_ticks_in_dagster(home: Path, hook: Webhook) -> None:
    settings = configured(home, hook.url)
    sensor = build_alerts_sensor((found(DISK),), settings)
    assert (sensor.name, sensor.minimum_interval_seconds) == ("alerts", settings.alert_s)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    resources = {"settings": settings, "store": Store.of(settings)}
    began = time.time()
    with dg.instance_for_test() as instance:
        context = dg.build_sensor_context(instance=instance, resources=resources)
        said = sensor(context)
    assert isinstance(said, dg.SkipReason)
    assert said.skip_message == "1 finding(s), 1 new, 0 resolved; 1 notice(s) in 1 message(s) sent."
    (alert,) = Outbox.of(settings).alerts()
    assert alert.fired_at.timestamp() >= began
    assert len(hook.taken) == 1
