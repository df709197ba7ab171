"""What ``bri watch`` looks at: the store from outside, the daemon's heartbeat, the ticks of the sensor ``alerts``.

Nothing here waits for ever, makes a folder, or writes but to try whether that can be done. One fault is one finding:
what follows from another one is not judged while that holds. What does not belong here: what was told (``memory``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bri_assets.errors import BriError, StorageFailed
from bri_assets.findings import Finding
from bri_assets.health.disk import free, has_space, there
from bri_assets.settings import Settings
from bri_assets.store.deletion import minute
from bri_assets.store.outbox import storable
from bri_assets.watch.daemon import DaemonSeen, see_daemon
from bri_assets.watch.memory import Memory
from bri_assets.watch.store import StoreSeen, see_store

__all__ = ["Seen", "look"]


@dataclass
class Seen:
    """What was seen.

    Args:
        findings: what is wrong.
        unjudged: rules of which nobody can tell now.
        notes: what a person may want to know, and is not wrong.
    """

    findings: list[Finding] = field(default_factory=list)
    unjudged: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)


def look(settings: Settings, dagster_home: Path, channels: Sequence[str], memory: Memory, now: datetime) -> Seen:
    """What is wrong now.

    Args:
        settings: of the process.
        dagster_home: DAGSTER_HOME; it need not be there.
        channels: labels of those who are told.
        memory: what was seen before; what was seen now is noted there.
        now: the time.
    """
    seen = Seen()
    store = see_store(settings, channels)
    if store.error is None:
        memory.busy_since = None
        seen.findings += _stuck_channels(settings, store, now)
        if store.open_alerts and not channels:
            seen.notes.append(f"{store.open_alerts} alert(s) are open, and BRI_ALERT_URLS names no place to tell them.")
    else:
        _judge_store(seen, settings, store, store.error, memory, now)
        seen.unjudged.add("alerts_stuck")
    if settings.watch_daemon_s:
        _judge_daemon(seen, settings, see_daemon(dagster_home), dagster_home, channels, memory, now)
    if store.full:
        # Heartbeats cannot be written either, nor may the instance be read.
        seen.unjudged.add("daemon_dead")
    if any(finding.rule != "alerts_stuck" for finding in seen.findings):
        memory.excused_at = now
    seen.findings = [storable(finding) for finding in seen.findings if finding.rule not in seen.unjudged]
    return seen


def _judge_store(
    seen: Seen, settings: Settings, store: StoreSeen, error: BriError, memory: Memory, now: datetime
) -> None:
    if error.retryable and memory.busy_since is None:
        # Somebody may have good reason to hold it, once.
        memory.busy_since = now
        seen.unjudged.add("store_unusable")
        seen.notes.append(f"{error} It is wrong if that is so at the next look.")
        return
    remedy = error.remedy or "See docs/runbooks/store-refuses.md."
    seen.findings.append(
        Finding("store_unusable", f"store:{settings.store_path}", f"{error.subject}: {error.what}", remedy)
    )
    if not store.full:
        _judge_disks(seen, settings)


def _judge_disks(seen: Seen, settings: Settings) -> None:
    """The outbox tells of these while it can."""
    devices = set[int]()
    for folder in (settings.home, settings.backup_dir):
        try:
            device, (share, gigabytes) = there(folder).stat().st_dev, free(folder)
        except (OSError, StorageFailed) as error:
            seen.notes.append(f"The disk of {folder} cannot be asked for its room: {error}")
            continue
        if device not in devices and not has_space(settings, folder):
            what = f"The disk of {folder} has {gigabytes:.1f} GB free ({share:.0%})."
            seen.findings.append(Finding("disk_low", f"disk:{folder}", what, "Make room on it.", version="watch"))
        devices.add(device)


def _stuck_channels(settings: Settings, store: StoreSeen, now: datetime) -> Iterator[Finding]:
    for one in store.undelivered:
        if now - one.since > timedelta(seconds=settings.watch_undelivered_s):
            what = f"{one.notices} notice(s) wait for {one.channel} since {minute(one.since)}: {one.last_error}"
            yield Finding("alerts_stuck", f"channel:{one.channel}", what, "Try it with `bri alerts test`.")


def _judge_daemon(
    seen: Seen,
    settings: Settings,
    daemon: DaemonSeen,
    dagster_home: Path,
    channels: Sequence[str],
    memory: Memory,
    now: datetime,
) -> None:
    finding = _dead(settings, daemon, dagster_home, now)
    if daemon.never and not channels:
        # Whoever ingests by hand has none; whoever wants to be told needs one.
        seen.notes.append("Dagster's daemon has never reported: no sensor and no schedule works.")
        finding = None
    if finding is not None:
        seen.findings.append(finding)
        seen.unjudged.add("alerts_stuck")
    if finding is not None or daemon.never:
        return
    if daemon.daemon_id != memory.daemon_id or memory.daemon_since is None:
        memory.daemon_id, memory.daemon_since = daemon.daemon_id, now
    seen.findings += _stuck_sensor(settings, daemon, memory, now)


def _dead(settings: Settings, daemon: DaemonSeen, dagster_home: Path, now: datetime) -> Finding | None:
    remedy = "Start it: `make ui`, or `dagster-daemon run` (docs/runbooks/alerts.md)."
    if daemon.error is not None:
        what, remedy = f"{daemon.error.subject}: {daemon.error.what}", daemon.error.remedy or remedy
    elif daemon.never:
        what = "Dagster's daemon has never reported: no sensor and no schedule works, and nobody is told of anything."
    else:
        limit = now - timedelta(seconds=settings.watch_daemon_s)
        late = {name: at for name, at in daemon.heartbeats.items() if at < limit}
        if not late:
            return None
        since = minute(min(late.values()))
        what = f"Of Dagster's daemon, {', '.join(sorted(late)).lower()} gave no sign of life since {since}."
    return Finding("daemon_dead", f"daemon:{dagster_home}", what, remedy)


def _stuck_sensor(settings: Settings, daemon: DaemonSeen, memory: Memory, now: datetime) -> Iterator[Finding]:
    found = Finding("alerts_stuck", "sensor:alerts", "", "See its ticks in Dagster's UI, under Automation.")
    if daemon.stopped:
        yield replace(found, summary="The sensor `alerts` is switched off: nobody is told of anything.",
                      remedy="Switch it on in Dagster's UI, under Automation.")  # fmt: skip
        return
    known = [time for time in (daemon.looked_at, memory.daemon_since, memory.excused_at) if time is not None]
    since = max(known, default=datetime.min.replace(tzinfo=UTC))
    if now - since > timedelta(seconds=settings.watch_alerts_s):
        last = f"looked last at {minute(daemon.looked_at)}" if daemon.looked_at else "has never looked"
        why = f"; its last failure: {daemon.failure}" if daemon.failure else ""
        yield replace(found, summary=f"The sensor `alerts` {last}{why}. Nobody is told of anything new.")
