"""What a further attempt at a video need not make again: staged tables that are still what it would make.

Only attempts after the first resume; whoever materializes an asset by hand gets fresh rows. What does not belong here:
starting the run (``launch``, the sensors).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster import AssetRecordsFilter
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from bri_assets.assets.code_versions import code_version
from bri_assets.errors import StagedDamaged, StagedMissing
from bri_assets.settings import Settings
from bri_assets.staging import Manifest, Source, StagingArea
from bri_assets.store.images import not_as_committed

__all__ = ["selection", "valid"]

#: The staged tables, each after those that it is made from.
_ORDER = ("source_video", "frames", "detections", "captions", "transcripts")
_COMMITTED = dg.AssetKey("committed_video")
#: What follows a commit in the same run.
_DERIVED = dg.AssetKey("search_index")
_PROOFS = dg.AssetCheckKey(_COMMITTED, "proofs")


def selection(
    instance: dg.DagsterInstance, settings: Settings, video_id: str, *, attempt: int
) -> list[dg.AssetKey] | None:
    """The assets that an attempt has to make; the commit and what follows it are always among them.

    A staged table that Dagster does not know to be materialized is made again, however valid: its run died before it
    could say so. Where all of them are valid and the proofs refused them, all are made again: committing the same once
    more would be refused once more.

    Args:
        instance: Dagster's.
        settings: of the process.
        video_id: the video, which is the partition.
        attempt: number of the attempt, from 1.

    Returns:
        The keys, for ``asset_selection``; None where all have to be made.
    """
    if attempt <= 1:
        return None
    staging = StagingArea(settings.staged_dir)
    found = valid(staging, settings, video_id)
    kept: set[str] = set()
    for table in _ORDER:
        if table in found and _is_known(instance, staging.newest(video_id, table)):
            kept.add(table)
    if not kept or (len(kept) == len(_ORDER) and _was_refused(instance, video_id)):
        return None
    return [*(dg.AssetKey(table) for table in _ORDER if table not in kept), _COMMITTED, _DERIVED]


def valid(staging: StagingArea, settings: Settings, video_id: str) -> set[str]:
    """The staged tables that need not be made again.

    Of such a table the newest manifest and its rows are there and whole, it was made of the bytes that were accepted,
    by the code, models and parameters of today, and from the tables that are the newest now and are valid themselves.
    The images of ``frames`` are there with the hashes that its rows name.

    Args:
        staging: where they are.
        settings: of the process.
        video_id: the video.
    """
    try:
        source = staging.source(video_id)
    except (StagedMissing, StagedDamaged):
        return set()
    found: set[str] = set()
    #: Content that the tables have, or will have once they are made again.
    contents: dict[str, str] = {}
    for table in _ORDER:
        try:
            manifest = staging.newest(video_id, table)
            is_whole = _is_whole(staging, settings.home, manifest, source)
        except (StagedMissing, StagedDamaged):
            continue
        if not is_whole or not _is_of_today(manifest, source, settings):
            continue
        if any(contents.get(name) != sha256 for name, sha256 in manifest.provenance.inputs.items()):
            continue
        contents[table] = manifest.content_sha256
        if table != "source_video" or _is_at_its_place(manifest, source):
            found.add(table)
    return found


def _is_whole(staging: StagingArea, home: Path, manifest: Manifest, source: Source) -> bool:
    records = [{str(name): value for name, value in row.items()} for row in staging.read(manifest).to_dict("records")]
    if manifest.table == "source_video":
        # The name under which the file arrived may be another one by now, and it is one of the facts.
        return [row["filename"] for row in records] == [source.filename]
    try:
        return manifest.table != "frames" or not not_as_committed(home, records)
    except OSError:
        # An image that cannot be read is none; making it again will say why, if that cannot be done either.
        return False


def _is_of_today(manifest: Manifest, source: Source, settings: Settings) -> bool:
    made_by = manifest.provenance.facts.get("code_version")
    return manifest.source_sha256 == source.sha256 and made_by == code_version(manifest.table, settings)


def _is_at_its_place(manifest: Manifest, source: Source) -> bool:
    """Whether the facts of the file name the file as it was accepted last: the same bytes may lie elsewhere by now."""
    facts = manifest.provenance.facts
    return (facts.get("path"), facts.get("signature")) == (source.path, source.signature)


def _is_known(instance: dg.DagsterInstance, manifest: Manifest) -> bool:
    """Whether Dagster's newest materialization of the partition is this one."""
    wanted = AssetRecordsFilter(asset_key=dg.AssetKey(manifest.table), asset_partitions=[manifest.video_id])
    for record in instance.fetch_materializations(wanted, limit=1).records:
        return record.run_id == manifest.run_id
    return False


def _was_refused(instance: dg.DagsterInstance, video_id: str) -> bool:
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [_PROOFS], PartitionKeyFilter(key=video_id)
    )
    record = found.get(_PROOFS)
    return record is not None and record.status is AssetCheckExecutionRecordStatus.FAILED
