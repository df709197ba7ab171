"""The assets of the group ``upkeep``, which keep the store: each calls one operation and shows what came of it.

What does not belong here: the operations (``store``), which of them run together (``jobs``), and when (``schedules``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import dagster as dg

from bri_assets.assets.metadata import columns_of
from bri_assets.assets.outcome import reported
from bri_assets.checks.partitioned import table_of
from bri_assets.checks.recovery import RECOVERS, drill_failed, drilled
from bri_assets.errors import BackupDamaged, JournalDamaged, RestoreFailed, UpkeepUnfinished
from bri_assets.search.following import erase_due
from bri_assets.settings import Settings
from bri_assets.store.archives.archive import Archive
from bri_assets.store.archives.orphans import Orphans
from bri_assets.store.memory import Memory
from bri_assets.store.recovery.backup_folder import Backup, kept
from bri_assets.store.recovery.backups import Backups
from bri_assets.store.recovery.drill import Drill
from bri_assets.store.recovery.restore import Restore

__all__ = ["POOL", "UPKEEP", "archive", "backup", "orphans", "purge", "recovers"]

#: Dagster's own tag of a run that a schedule started.
_SCHEDULE_TAG = "dagster/schedule_name"

#: One step of all these at a time, where the instance limits its pools. The store needs no such order, but two backups
#: that end together expire the same ones, and a drill may read the one that expires.
POOL = "store_upkeep"

_Ended = Iterator[dg.AssetObservation | dg.MaterializeResult[Any]]

#: Of the asset ``orphans``, which is no table of the store: what it reports.
_ORPHANS = dg.TableSchema(
    [
        dg.TableColumn("path", "VARCHAR", "The file, relative to BRI_HOME."),
        dg.TableColumn("size_bytes", "BIGINT", "Its size in bytes, >= 0."),
        dg.TableColumn("changed_at", "TIMESTAMP WITH TIME ZONE", "When it was last changed, UTC."),
        dg.TableColumn("why", "VARCHAR", "What it is, and that no version names it."),
    ]
)

_SHARED: dict[str, Any] = {"group_name": "upkeep", "kinds": {"duckdb"}, "owners": ["team:bri"], "pool": POOL}


@dg.asset(
    **_SHARED,
    metadata=columns_of("backups"),
    description="A copy of the store, opened and proven; the newest ones are kept.",
)
def backup(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[Any]:
    """Make a backup."""
    with reported(context, settings.retries):
        made = Backups.of(settings).make(
            settings.backup_dir,
            keep=settings.backup_keep,
            reason="scheduled" if _is_scheduled(context) else "asked",
            channel=_channel(context),
        )
        shown = _described(made) | {"kept_backups": len(kept(settings.backup_dir))}
        return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(made.sha256))


@dg.asset(
    **_SHARED,
    metadata=columns_of("archived_tables"),
    description="Versions that were superseded long enough ago, as Parquet files that were read back.",
)
def archive(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> _Ended:
    """Archive what is due."""
    with reported(context, settings.retries):
        done = Archive.of(settings).archive(settings.archive_after_days, channel=_channel(context))
        shown = {
            "archived": len(done.archived),
            "rows": sum(version.row_count for version in done.archived),
            "skipped": len(done.skipped),
            "versions": table_of([asdict(version) for version in (*done.archived, *done.skipped)]),
        }
        failed = {f"{version.video_id} version {version.version}": version.reason for version in done.failed}
        yield from _ended(context, shown, failed)


@dg.asset(
    **_SHARED,
    metadata=columns_of("purges"),
    description="Videos that were deleted long enough ago, removed for good; and what was said long enough ago.",
)
def purge(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> _Ended:
    """Purge what is due."""
    with reported(context, settings.retries):
        done = erase_due(settings, after_days=settings.purge_after_days, channel=_channel(context))
        expired = Memory.of(settings).expire(settings.memory_keep_days, channel=_channel(context))
        # What was purged is named by the table of purges and by the audit log: here it would be named once more.
        shown = {
            "purged": len(done.purged),
            "rows": sum(sum(video.rows.values()) for video in done.purged),
            "files": sum(video.files.count for video in done.purged),
            "bytes": sum(video.files.size_bytes for video in done.purged),
            "expired_messages": expired,
            "backups_that_may_hold_them": len({one.backup_id for video in done.purged for one in video.left.backups}),
        }
        yield from _ended(context, shown, done.failed)


@dg.asset(
    **_SHARED,
    metadata={"dagster/column_schema": _ORPHANS},
    description="Files that no version names: reported first, and removed later.",
)
def orphans(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[Any]:
    """Sweep up."""
    with reported(context, settings.retries):
        swept = Orphans.of(settings).sweep(settings.orphan_after_hours, channel=_channel(context))
        removed, found = swept.removed, swept.remaining
        shown: dict[str, Any] = {
            "removed": len(removed.paths),
            "bytes": removed.size_bytes,
            "reported": len(found.orphans),
            "reported_bytes": found.size_bytes,
            "awaiting_backups": len(found.awaiting_backups),
            "videos_left_alone": len(found.left_alone),
            "removed_files": table_of([{"path": path} for path in removed.paths]),
            "reported_files": table_of([asdict(orphan) for orphan in found.orphans]),
            "left_alone": table_of([asdict(video) for video in found.left_alone]),
        }
        return dg.MaterializeResult(metadata=shown)


@dg.asset_check(
    asset=backup,
    name=RECOVERS,
    blocking=False,
    pool=POOL,
    description="The newest backup and the journal give the store back, as it is; see the table of differences.",
)
def recovers(context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    """Drill."""
    with reported(context, settings.retries):
        try:
            found = Drill.of(settings).run(Restore.of(settings))
        except (BackupDamaged, JournalDamaged, RestoreFailed) as error:
            return drill_failed(error)
        return drilled(found)


#: The assets of the group.
UPKEEP = (backup, archive, purge, orphans)


def _is_scheduled(context: dg.AssetExecutionContext) -> bool:
    return _SCHEDULE_TAG in context.run.tags


def _channel(context: dg.AssetExecutionContext) -> str:
    return "schedule" if _is_scheduled(context) else "ui"


def _described(made: Backup) -> dict[str, Any]:
    return {
        "backup": made.backup_id,
        "path": dg.MetadataValue.path(made.path),
        "reason": made.reason,
        "size_bytes": made.size_bytes,
        "seconds": made.seconds,
        "paused_s": made.paused_s,
        "videos": made.videos,
        "versions": made.versions,
        "last_event_id": made.last_event_id,
    }


def _ended(context: dg.AssetExecutionContext, shown: dict[str, Any], failed: Mapping[str, str]) -> _Ended:
    """The end of a step that did many things, each by itself.

    Yields:
        What was done: as a materialization, or as an observation where some failed.

    Raises:
        UpkeepUnfinished: some failed.
    """
    shown |= {"failed": len(failed)}
    if not failed:
        yield dg.MaterializeResult(metadata=shown)
        return
    failures = table_of([{"what": what, "reason": reason} for what, reason in failed.items()])
    # Yielded, for Dagster drops what was given to `log_event` by a step that then fails.
    yield dg.AssetObservation(context.asset_key, metadata=shown | {"failures": failures})
    told = "; ".join(f"{what} ({reason})" for what, reason in failed.items())
    raise UpkeepUnfinished(
        context.asset_key.to_user_string(),
        f"{len(failed)} of what was due failed: {told}.",
        "The rest was done. Mend what is named; the next run takes it up.",
    )
