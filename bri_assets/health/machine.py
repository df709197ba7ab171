"""The machine: room on its disks, age of the newest backup, its clock.

What does not belong here: the drill, which says whether a backup gives the store back (``checks.recovery``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bri_assets.findings import Finding
from bri_assets.health.disk import free, has_space, there
from bri_assets.health.look import Look, Scene
from bri_assets.store.health import Health, Times
from bri_assets.store.recovery.backup_folder import DATABASE

__all__ = ["MACHINE"]

#: So far may the clocks of two machines that share a store be apart.
_SKEW = timedelta(minutes=5)


def _find(scene: Scene) -> Iterator[Finding]:
    yield from _disks(scene)
    times = Health.of(scene.settings).times()
    yield from _lost(scene, times)
    yield from _backups(scene, times)
    yield from _clock(scene, times)


def _disks(scene: Scene) -> Iterator[Finding]:
    """Each disk once, named by the first of our folders on it."""
    settings, asked = scene.settings, set[int]()
    for folder in (settings.home, settings.backup_dir, Path(scene.instance.root_directory)):
        disk = there(folder).stat().st_dev
        if disk in asked:
            continue
        asked.add(disk)
        share, gigabytes = free(folder)
        if not has_space(settings, folder):
            yield Finding(
                "disk_low",
                f"disk:{folder}",
                f"The disk of {folder} has {gigabytes:.1f} GB free ({share:.0%}); there should be"
                f" {settings.disk_free_min_gb:g} GB and {settings.disk_free_min:.0%}.",
                "Make room, or move BRI_HOME or the backups. `bri purge`, `bri orphans` and `bri compact` give back"
                " what BRI no longer needs; or change BRI_DISK_FREE_MIN and BRI_DISK_FREE_MIN_GB.",
                facts={"free_gb": round(gigabytes, 3), "free_share": round(share, 4)},
            )


def _backups(scene: Scene, times: Times) -> Iterator[Finding]:
    """Before the first backup, age counts from the first event: from then on there is something to lose."""
    folder = scene.settings.backup_dir
    kept = [backup for backup in times.backups if (folder / backup.backup_id / "backup.json").exists()]
    since = kept[0].created_at if kept else times.first_event_at
    most = timedelta(hours=scene.settings.backup_age_h)
    if since is None or scene.now - since <= most:
        return
    age_h = (scene.now - since).total_seconds() / 3600
    told = (
        f"The newest backup, {kept[0].backup_id}, was made {age_h:.0f} h ago"
        if kept
        else (f"There is no backup, {age_h:.0f} h after the first event of the store")
    )
    yield Finding(
        "backup_old",
        "backups",
        f"{told}; there should be one every {scene.settings.backup_age_h:g} h.",
        "`bri backup` makes one now. See that Dagster's daemon and the schedule `scheduled_back_up` run, and that"
        " BRI_BACKUP_CRON is not `off`.",
        facts={"age_h": round(age_h, 1), "folder": str(scene.settings.backup_dir)},
    )


def _lost(scene: Scene, times: Times) -> Iterator[Finding]:
    """Whether the newest backup is there; whether it gives the store back, the drill tries."""
    if not times.backups:
        return
    newest = times.backups[0]
    # Where a restore looks for it; the row keeps where it was made.
    folder = scene.settings.backup_dir / newest.backup_id
    database = folder / DATABASE
    size = database.stat().st_size if database.exists() else None
    if size == newest.size_bytes and (folder / "backup.json").exists():
        return
    found = "is gone" if size is None else f"has {size} bytes instead of {newest.size_bytes}, or lacks its backup.json"
    yield Finding(
        "backup_lost",
        f"backup:{newest.backup_id}",
        f"The newest backup, {folder}, was made and proven, and {found}.",
        "`bri backup` makes another one now. Find out who changes that folder.",
        facts={"path": str(folder), "size_bytes": size},
    )


def _clock(scene: Scene, times: Times) -> Iterator[Finding]:
    ahead = {name: at - scene.now for name, at in times.newest.items() if at - scene.now > _SKEW}
    if not ahead:
        return
    name, by = max(ahead.items(), key=lambda item: item[1])
    yield Finding(
        "clock_skew",
        "clock",
        f"The newest time in {name} is {by.total_seconds() / 60:.0f} minutes ahead of this machine's clock: the clock"
        " was wrong then, or is now.",
        "See to the machine's clock (`timedatectl`). The order of versions does not hang on it; ages and schedules do.",
        facts={"table": name, "ahead_s": round(by.total_seconds())},
    )


#: The look.
MACHINE = Look("machine", ("disk_low", "backup_lost", "backup_old", "clock_skew"), _find)
