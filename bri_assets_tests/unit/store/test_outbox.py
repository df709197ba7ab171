"""The outbox: an alert for as long as something is found, told once to each channel, and once more when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bri_assets.errors import SilenceNotFound
from bri_assets.findings import Finding
from bri_assets.staging import StagingArea
from bri_assets.store import Purge
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.journal import Journal, events_of
from bri_assets.store.outbox import Alert, Due, Outbox, storable
from bri_assets.store.outbox.plan import NOT_KEPT
from bri_assets.store.recovery.restore import Restore
from bri_assets_tests.bundles import open_store, operations, rows, stage
from bri_assets_tests.snapshots import snapshot

T = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = ["disk_low", "not_fresh", "backlog"]

DISK = Finding("disk_low", "disk:/data", "1.0 GB are left.", "Make room.", facts={"free_gb": 1.0})
LATE = Finding("not_fresh", "video:tour-1", "It is late.", "bri ingest tour.mp4", version="2", video_id="tour-1")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return operations(Outbox, tmp_path)


def sync(outbox: Outbox, *findings: Finding, at: datetime = T, channels: str = "a", **others: list[Finding]) -> None:
    outbox.sync(list(findings), RULES, channels=channels.split(), channel="test", now=at, **others)


def due(outbox: Outbox, at: datetime = T, channels: str = "a") -> list[tuple[str, str, str]]:
    return sorted((one.notice, one.rule, one.channel) for one in outbox.due(channels.split(), now=at))


def tell(outbox: Outbox, at: datetime = T, channels: str = "a") -> list[Due]:
    """Everything that is due is taken."""
    told = []
    for to in channels.split():
        while found := outbox.due([to], now=at):
            outbox.delivered(to, [one.key for one in found], channel="test", now=at)
            told += found
    return told


def only(outbox: Outbox, **options: bool) -> Alert:
    (alert,) = outbox.alerts(now=T, **options)
    return alert


def events(outbox: Outbox) -> list[str]:
    with outbox.file.open() as connection:
        return [event.action for event in events_of(connection)]


def test_a_finding_fires_once_however_often_it_is_looked_for_and_writes_nothing_more(outbox: Outbox) -> None:
    sync(outbox, DISK, DISK)
    before = events(outbox), snapshot(open_store(outbox.home), without=())
    for number in range(5):
        sync(outbox, DISK, at=T + number * MINUTE)
    assert (events(outbox), snapshot(open_store(outbox.home), without=())) == before
    assert before[0] == ["alert.fired"]
    alert = only(outbox)
    assert alert.alert_id == DISK.alert_id(1)
    assert (alert.severity, alert.fired_at, alert.facts) == ("ERROR", T, {"free_gb": 1.0})
    assert [one.alert_id for one in tell(outbox)] == [alert.alert_id]
    assert due(outbox) == []


def test_it_is_resolved_when_it_is_found_no_more_and_a_new_alert_when_it_comes_back(outbox: Outbox) -> None:
    sync(outbox, DISK)
    tell(outbox)
    sync(outbox, at=T + MINUTE)
    (over,) = tell(outbox, T + MINUTE)
    assert (over.notice, over.alert_id, over.resolved_at) == ("resolved", DISK.alert_id(1), T + MINUTE)
    sync(outbox, DISK, at=T + 2 * MINUTE)
    assert [one.alert_id for one in tell(outbox, T + 2 * MINUTE)] == [DISK.alert_id(2)]
    assert [(one.episode, one.resolved_at) for one in outbox.alerts(include_resolved=True)] == [
        (2, None),
        (1, T + MINUTE),
    ]


def test_what_could_not_be_looked_for_or_only_follows_from_something_is_not_resolved(outbox: Outbox) -> None:
    sync(outbox, DISK, LATE)
    outbox.sync([DISK], ["disk_low"], channels=["a"], channel="test", now=T)
    sync(outbox, DISK, hidden=[LATE])
    assert {alert.rule for alert in outbox.alerts()} == {"disk_low", "not_fresh"}
    sync(outbox, hidden=[LATE])
    assert only(outbox).rule == "not_fresh"


def test_what_only_follows_from_something_does_not_fire(outbox: Outbox) -> None:
    sync(outbox, DISK, hidden=[LATE])
    assert only(outbox).rule == "disk_low"


def test_other_words_are_kept_and_nobody_is_told_anew(outbox: Outbox) -> None:
    sync(outbox, DISK)
    tell(outbox)
    worse = storable(Finding("disk_low", DISK.subject, "0.5 GB are left.", DISK.remedy, facts={"free_gb": 0.5}))
    sync(outbox, worse, at=T + MINUTE)
    assert only(outbox).summary == "1.0 GB are left.", "words that change at every look are not written at every look"
    sync(outbox, worse, at=T + 11 * MINUTE)
    assert (only(outbox).summary, only(outbox).facts) == ("0.5 GB are left.", {"free_gb": 0.5})
    assert due(outbox, T + 12 * MINUTE) == []
    assert "0.5 GB" not in (outbox.home / "staged" / "journal.jsonl").read_text()


def test_what_gets_worse_is_told_anew_and_never_gets_milder(outbox: Outbox) -> None:
    mild = Finding("backlog", "queue", "A few wait.", "Wait.")
    bad = Finding("backlog", "queue", "All wait.", "Act.", severity="ERROR")
    sync(outbox, mild)
    (first,) = tell(outbox)
    sync(outbox, bad, mild, at=T + MINUTE)
    (second,) = tell(outbox, T + MINUTE)
    assert (second.notice, second.severity) == ("fired", "ERROR")
    assert second.alert_id != first.alert_id
    sync(outbox, mild, at=T + 2 * MINUTE)
    sync(outbox, bad, at=T + 3 * MINUTE)
    assert only(outbox).severity == "ERROR"
    sync(outbox, at=T + 4 * MINUTE)
    assert [one.alert_id for one in tell(outbox, T + 4 * MINUTE)] == [second.alert_id]


def test_a_channel_that_is_new_hears_what_is_open_and_one_that_is_gone_keeps_nobody_waiting(outbox: Outbox) -> None:
    sync(outbox, DISK, channels="")
    assert only(outbox).deliveries == []
    sync(outbox, DISK, LATE, channels="a")
    assert due(outbox) == [("fired", "disk_low", "a"), ("fired", "not_fresh", "a")]
    tell(outbox)
    sync(outbox, LATE, channels="a b", at=T + MINUTE)
    assert due(outbox, T + MINUTE, "a b") == [("fired", "not_fresh", "b"), ("resolved", "disk_low", "a")]
    assert due(outbox, T + MINUTE, "a") == [("resolved", "disk_low", "a")]


def test_what_was_over_before_anybody_could_be_told_is_told_all_the_same(outbox: Outbox) -> None:
    sync(outbox, DISK)
    (one,) = outbox.due(["a"], now=T)
    outbox.failed("a", [one.key], error="no", next_attempt_at=T + 5 * MINUTE, channel="test", now=T)
    sync(outbox, at=T + MINUTE)
    assert due(outbox, T + MINUTE) == []
    assert [(one.notice, one.resolved_at) for one in tell(outbox, T + 5 * MINUTE)] == [
        ("fired", T + MINUTE),
        ("resolved", T + MINUTE),
    ]


def test_a_channel_is_waited_for_and_not_each_alert(outbox: Outbox) -> None:
    sync(outbox, DISK)
    (one,) = outbox.due(["a"], now=T)
    outbox.failed("a", [one.key], error="away", next_attempt_at=T + 5 * MINUTE, channel="test", now=T)
    assert due(outbox, T + MINUTE) == []
    (waiting,) = outbox.undelivered(["a", "b"])
    assert (waiting.channel, waiting.notices, waiting.since, waiting.last_error) == ("a", 1, T, "away")
    sync(outbox, DISK, LATE, at=T + 2 * MINUTE)
    assert len(due(outbox, T + 2 * MINUTE)) == 2, "what is tried is tried with all that waits, as one message"
    tell(outbox, T + 2 * MINUTE)
    assert outbox.undelivered(["a"]) == []
    assert outbox.undelivered([]) == []


def test_what_was_delivered_is_not_delivered_again_nor_fails_afterwards(outbox: Outbox) -> None:
    sync(outbox, DISK)
    (one,) = tell(outbox)
    before = events(outbox)
    outbox.delivered("a", [one.key], channel="test", now=T + MINUTE)
    outbox.failed("a", [one.key], error="late", next_attempt_at=T, channel="test", now=T + MINUTE)
    assert events(outbox) == before
    (delivery,) = only(outbox).deliveries
    assert (delivery.delivered_at, delivery.attempts, delivery.last_error) == (T, 1, None)


def silenced(outbox: Outbox, minutes: int, at: datetime = T, rule: str = "disk_*", subject: str = "*") -> str:
    until = at + minutes * MINUTE
    return outbox.silence(rule, subject, until=until, reason="known", channel="test", now=at).silence_id


def test_a_silenced_alert_is_recorded_and_told_when_the_silence_ends(outbox: Outbox) -> None:
    silenced(outbox, 60)
    sync(outbox, DISK, LATE)
    assert due(outbox) == [("fired", "not_fresh", "a")]
    assert {alert.rule: alert.silenced_until for alert in outbox.alerts(now=T)} == {
        "disk_low": T + 60 * MINUTE,
        "not_fresh": None,
    }
    assert due(outbox, T + 61 * MINUTE) == [("fired", "disk_low", "a"), ("fired", "not_fresh", "a")]


def test_what_fires_and_is_over_under_silence_is_never_told(outbox: Outbox) -> None:
    silenced(outbox, 30)
    sync(outbox, DISK)
    silenced(outbox, 60, T + 20 * MINUTE)
    sync(outbox, at=T + 50 * MINUTE)
    assert due(outbox, T + 100 * MINUTE) == []
    assert only(outbox, include_resolved=True).deliveries == []


def test_what_fires_under_one_silence_and_is_over_under_another_is_told_if_there_was_a_gap(outbox: Outbox) -> None:
    silenced(outbox, 10)
    sync(outbox, DISK)
    silenced(outbox, 30, T + 20 * MINUTE)
    sync(outbox, at=T + 30 * MINUTE)
    assert due(outbox, T + 30 * MINUTE) == []
    assert [one.notice for one in tell(outbox, T + 51 * MINUTE)] == ["fired", "resolved"]


def test_who_heard_that_it_fired_hears_after_the_silence_that_it_is_over(outbox: Outbox) -> None:
    sync(outbox, DISK)
    tell(outbox)
    silence_id = silenced(outbox, 60, T + MINUTE)
    sync(outbox, at=T + 2 * MINUTE)
    assert due(outbox, T + 3 * MINUTE) == []
    outbox.lift(silence_id, channel="test", now=T + 4 * MINUTE)
    outbox.lift(silence_id, channel="test", now=T + 5 * MINUTE)
    assert due(outbox, T + 4 * MINUTE) == [("resolved", "disk_low", "a")]
    assert outbox.silences(now=T + 5 * MINUTE) == []
    (one,) = outbox.silences(include_over=True)
    assert (one.until, one.reason) == (T + 4 * MINUTE, "known")
    with pytest.raises(SilenceNotFound, match="no such silence"):
        outbox.lift("s-0000000000000000", channel="test")


@pytest.mark.parametrize(
    ("pattern", "subject", "fits"),
    [
        ("video:tour-*", "video:tour-1", True),
        ("video:tour-*", "video:other-1", False),
        ("file:/a[1]?.mp4", "file:/a[1]?.mp4", True),
        ("file:/a[1]*", "file:/a1.mp4", False),
        ("*", "two\nlines", True),
        ("", "x", False),
    ],
)
def test_of_a_pattern_only_the_asterisk_means_anything(outbox: Outbox, pattern: str, subject: str, fits: bool) -> None:
    if pattern:
        silenced(outbox, 60, subject=pattern)
    sync(outbox, Finding("disk_low", subject, "x", "y"))
    assert (due(outbox) == []) is fits


def test_a_finding_with_words_that_cannot_be_stored_is_told_all_the_same(outbox: Outbox) -> None:
    odd = Finding("disk_low", "file:/\udce4.mp4", "", " ", facts={"share": float("nan"), "path": Path("/x")})
    sync(outbox, storable(odd), LATE)
    by_rule = {alert.rule: alert for alert in outbox.alerts()}
    assert by_rule["disk_low"].subject == r"file:/\udce4.mp4"
    assert by_rule["disk_low"].summary == "A disk that BRI writes to is nearly full."
    assert by_rule["disk_low"].facts == {"share": None, "path": "/x"}
    assert len(by_rule) == 2


def restored(home: Path) -> Outbox:
    """From the journal alone."""
    staging, journal = StagingArea(home / "staged"), Journal(home / "staged" / "journal.jsonl")
    file = StoreFile(home / "store" / "bri.duckdb", wait_s=1, journal=journal)
    file.path.unlink()
    done = Restore(file, journal, home, staging, home / "backups").restore(None, channel="test")
    assert done.lost == []
    return operations(Outbox, home)


def test_after_a_restore_nobody_is_told_twice_or_not_at_all(outbox: Outbox) -> None:
    sync(outbox, DISK, LATE, channels="a b")
    tell(outbox)
    silenced(outbox, 60, T, "backlog")
    lifted = silenced(outbox, 90, T, "not_fresh")
    outbox.lift(lifted, channel="test", now=T + MINUTE)
    (one, _) = outbox.due(["b"], now=T + MINUTE)
    outbox.failed("b", [one.key], error="away", next_attempt_at=T + 9 * MINUTE, channel="test", now=T + MINUTE)
    sync(outbox, DISK, at=T + 2 * MINUTE, channels="a b")
    sync(outbox, DISK, at=T + 3 * MINUTE, channels="a b c")
    queue = Finding("backlog", "queue", "Many.", "Wait.")
    sync(outbox, DISK, queue, at=T + 4 * MINUTE)
    sync(outbox, DISK, Finding("backlog", "queue", "All.", "Act.", severity="ERROR"), at=T + 5 * MINUTE)
    store = open_store(outbox.home)
    tables = ("alerts", "alert_deliveries", "alert_silences")
    before = {name: sorted(rows) for name, rows in snapshot(store).items() if name in tables}
    told = due(outbox, T + 10 * MINUTE, "a b c")

    again = restored(outbox.home)

    after = {name: sorted(rows) for name, rows in snapshot(store).items() if name in tables}
    # Words and errors are not in the journal, for they may quote a video; all else is.
    assert [(*row[:6], *row[9:]) for row in after["alerts"]] == [(*row[:6], *row[9:]) for row in before["alerts"]]
    assert [(*row[:5], *row[6:]) for row in after["alert_deliveries"]] == [
        (*row[:5], *row[6:]) for row in before["alert_deliveries"]
    ]
    assert after["alert_silences"] == before["alert_silences"]
    assert due(again, T + 10 * MINUTE, "a b c") == told
    assert {alert.summary for alert in again.alerts()} == {NOT_KEPT}
    sync(again, DISK, queue, at=T + 6 * MINUTE)
    assert "1.0 GB are left." in {alert.summary for alert in again.alerts()}


def test_an_alert_of_a_purged_video_is_gone_and_its_id_is_not_given_again(outbox: Outbox) -> None:
    home = outbox.home
    tables = rows(home)
    video_id = tables["source_video"][0]["video_id"]
    open_store(home).commit(stage(home, tables), run_id="run", channel="test")
    late = Finding("not_fresh", f"video:{video_id}", "Late.", "Wait.", video_id=video_id)
    sync(outbox, late)
    (first,) = tell(outbox)
    operations(Purge, home).purge(video_id, reason="asked", channel="test")
    assert outbox.alerts(include_resolved=True) == []
    assert due(outbox) == []
    sync(outbox, late)
    assert only(outbox).alert_id == late.alert_id(2) != first.alert_id


KEYS = [Finding("disk_low", f"disk:{n}", "Full.", "Act.") for n in range(3)] + [
    Finding("backlog", "queue", "Many.", "Wait.", severity=severity) for severity in ("WARN", "ERROR")
]
STEPS = st.lists(
    st.tuples(st.lists(st.sampled_from(KEYS), max_size=4), st.sampled_from(["down", "up"]), st.booleans()),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_found_when_each_alert_is_told_once_and_is_the_only_open_one_of_its_kind(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[Finding], str, bool]]
) -> None:
    outbox = operations(Outbox, tmp_path_factory.mktemp("any"))
    told: list[tuple[str, str]] = []
    at = T
    for found, far_side, quiet in [*steps, ([], "up", False)]:
        at += 10 * MINUTE
        if quiet:
            silenced(outbox, 5, at, "backlog")
        sync(outbox, *found, at=at)
        opened = [(one.rule, one.subject, one.version) for one in outbox.alerts(now=at)]
        assert len(opened) == len(set(opened))
        assert set(opened) == {(one.rule, one.subject, one.version) for one in found}
        if far_side == "up":
            told += [(one.alert_id, one.notice) for one in tell(outbox, at)]
        elif waiting := outbox.due(["a"], now=at):
            keys = [one.key for one in waiting]
            outbox.failed("a", keys, error="x", next_attempt_at=at + MINUTE, channel="test", now=at)
    told += [(one.alert_id, one.notice) for one in tell(outbox, at + 60 * MINUTE)]
    assert len(told) == len(set(told)), "nothing is said twice"
    fired = {alert_id for alert_id, notice in told if notice == "fired"}
    assert {alert_id for alert_id, notice in told if notice == "resolved"} <= fired
    everything = outbox.alerts(include_resolved=True)
    assert all(one.resolved_at for one in everything)
    # What was resolved as itself was told, unless silence lay over all of it.
    assert {one.alert_id for one in everything if one.deliveries} == fired
