"""Ways in which things break, each with what must follow: which alerts, which check, which state, and how it is mended.

What does not belong here: how it is done (``deeds``), the world in which it happens (``world``), and faults of the
store's own processes (``test_kill_points``, ``test_alert_delivery``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bri_assets.jobs import BACK_UP
from bri_assets_tests.clips import cut, make_audio, make_clip, make_text, replace_bytes
from bri_assets_tests.faults.deeds import (
    BACKUP_GONE,
    IMAGE_CHANGED,
    IMAGE_GONE,
    JOURNAL_CHANGED,
    STAGED_GONE,
    Nonsense,
    Raising,
    backups_can_be_made,
    brought,
    by_hand,
    claimed_only,
    clip,
    damaged_backup,
    damaged_before_commit,
    dead_hub,
    dead_model,
    deleted,
    ended,
    hung,
    image_lost_before_commit,
    in_turn,
    killed_ingest,
    later,
    live_hub,
    live_model,
    new_backup,
    no_backup_can_be_made,
    no_weights,
    nothing,
    purged,
    removed,
    replaced_while_read,
    rerun,
    rolled_back_pointer,
    setting,
    verified,
    weights_again,
    with_detector,
    works,
)
from bri_assets_tests.faults.index_deeds import (
    embedder_again,
    index_bytes_changed,
    index_made_anew,
    index_removed,
    no_embedder,
    searched,
)
from bri_assets_tests.faults.world import Deed

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """A fault.

    Args:
        name: as a sentence.
        breaks: does it, with what the daemon does thereupon.
        mends: mends it, with what the daemon does thereupon.
        alerts: the rules of the alerts that must follow, no other and each once.
        severity: of the first of them.
        check: asset and name of the check that must have failed, where one speaks of it.
        state: file name and state of the upload that it is about.
        settings: of the world from the start.
        forgotten: it is mended by a purge, which removes the alerts too and tells nobody of a video that is no more.
    """

    name: str
    breaks: Deed
    mends: Deed
    alerts: tuple[str, ...]
    severity: str = "ERROR"
    check: tuple[str, str] | None = None
    state: tuple[str, str] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    forgotten: bool = False


_MODEL = in_turn(with_detector(None), rerun("model.mp4"))
#: How somebody changes the database with another program, and takes it back.
_ASIDE = "CREATE TABLE aside AS FROM "
_CHANGED = "UPDATE captions SET text = 'a unicorn' WHERE frame_index = 0"
_CHANGED_BACK = "UPDATE captions SET text = a.text FROM aside a WHERE captions.frame_index = a.frame_index"
_LOST = "DELETE FROM captions WHERE frame_index = 1"
_FOUND = "INSERT INTO captions FROM aside WHERE frame_index = 1"
_UNTOLD = "DELETE FROM lineage WHERE table_name = 'captions'"
_TOLD = "INSERT INTO lineage FROM aside WHERE table_name = 'captions'"
_FORGET = "DROP TABLE aside"
#: Two seconds of pictures, ten of nothing, two of pictures.
_WITH_A_GAP = [*(n / 10 for n in range(20)), *(n / 10 for n in range(120, 140))]

FAULTS: Sequence[Fault] = (
    Fault(
        "a text under a video's name",
        brought("notes.mp4", make_text),
        in_turn(removed("notes.mp4"), works),
        ("upload_quarantined",),
        "WARN",
        state=("notes.mp4", "quarantined"),
    ),
    Fault(
        "a video that is cut off",
        brought("cut.mp4", lambda path: cut(make_clip(path, seconds=8), 0.6)),
        in_turn(removed("cut.mp4"), works),
        ("upload_quarantined",),
        "WARN",
        state=("cut.mp4", "quarantined"),
    ),
    Fault(
        "an empty file",
        brought("empty.mp4", Path.touch),
        in_turn(removed("empty.mp4"), works),
        ("upload_quarantined",),
        "WARN",
        state=("empty.mp4", "quarantined"),
    ),
    Fault(
        "sound without a picture",
        brought("song.m4a", make_audio),
        in_turn(removed("song.m4a"), works),
        ("upload_quarantined",),
        "WARN",
        state=("song.m4a", "quarantined"),
    ),
    Fault(
        "a model that raises at a frame",
        in_turn(with_detector(Raising), brought("model.mp4", clip)),
        _MODEL,
        ("ingest_failed",),
        state=("model.mp4", "failed"),
    ),
    Fault(
        "a model that gives nonsense",
        in_turn(with_detector(Nonsense), brought("model.mp4", clip)),
        _MODEL,
        ("ingest_failed",),
        check=("detections", "schema"),
        state=("model.mp4", "failed"),
    ),
    Fault(
        "a model that fails every upload",
        dead_model,
        live_model,
        ("ingest_failed", "ingest_failed", "model_failing"),
        settings={"breaker_failures": 2},
    ),
    Fault("a hub that is down", dead_hub, live_hub, ("model_failing",)),
    Fault(
        "weights that are gone",
        no_weights,
        weights_again,
        ("ingest_failed",),
        state=("weights.mp4", "failed"),
    ),
    Fault(
        "a stage that takes longer than it may",
        in_turn(setting(frames_limit_s=0.001), brought("slow.mp4", clip)),
        in_turn(setting(frames_limit_s=600.0), rerun("slow.mp4")),
        ("ingest_failed",),
        state=("slow.mp4", "failed"),
    ),
    Fault(
        "sound that cannot be decoded",
        brought("sound.mkv", lambda path: replace_bytes(make_clip(path, audio="tone"), b"A_AAC", b"A_XXX")),
        purged("sound.mkv"),
        ("ingest_failed",),
        state=("sound.mkv", "failed"),
        forgotten=True,
    ),
    # What took its place is a new upload and is ingested: nothing is left to be told.
    Fault(
        "an upload that is replaced while it is read",
        replaced_while_read,
        nothing,
        (),
        state=("replaced.mp4", "committed"),
    ),
    Fault(
        "a process that is killed",
        killed_ingest,
        rerun("killed.mp4"),
        ("ingest_failed",),
        state=("killed.mp4", "failed"),
    ),
    Fault(
        "a daemon that dies before it asked for a run",
        in_turn(claimed_only("claim.mp4"), works),
        nothing,
        (),
        state=("claim.mp4", "committed"),
    ),
    Fault("a run that hangs", hung, ended, ("ingest_stuck",)),
    Fault(
        "a staged file that is damaged before the commit",
        damaged_before_commit,
        rerun("staged.mp4"),
        ("ingest_failed",),
        state=("staged.mp4", "failed"),
    ),
    Fault(
        "an image that is lost before the commit",
        image_lost_before_commit,
        rerun("proof.mp4"),
        ("ingest_failed",),
        check=("committed_video", "proofs"),
        state=("proof.mp4", "failed"),
    ),
    Fault(
        "an image that is deleted",
        in_turn(IMAGE_GONE.breaks, verified),
        in_turn(IMAGE_GONE.mends, verified),
        ("check_failed",),
        check=("frames", "images"),
    ),
    Fault(
        "an image that is changed",
        in_turn(IMAGE_CHANGED.breaks, verified),
        in_turn(IMAGE_CHANGED.mends, verified),
        ("check_failed",),
        check=("frames", "images"),
    ),
    Fault(
        "a row that is changed by hand",
        in_turn(by_hand(_ASIDE + "captions", _CHANGED), verified),
        in_turn(by_hand(_CHANGED_BACK, _FORGET), verified),
        ("check_failed",),
        check=("committed_video", "unchanged"),
    ),
    Fault(
        "rows that are deleted by hand",
        in_turn(by_hand(_ASIDE + "captions", _LOST), verified),
        in_turn(by_hand(_FOUND, _FORGET), verified),
        ("check_failed",),
        check=("committed_video", "unchanged"),
    ),
    Fault(
        "a line of the lineage that is deleted by hand",
        in_turn(by_hand(_ASIDE + "lineage", _UNTOLD), verified),
        in_turn(by_hand(_TOLD, _FORGET), verified),
        ("check_failed",),
        check=("committed_video", "lineage_complete"),
    ),
    Fault(
        "a pointer that is moved by hand",
        in_turn(by_hand("UPDATE current_versions SET version_id = 1"), verified),
        in_turn(by_hand("UPDATE current_versions SET version_id = 2"), verified),
        ("check_failed",),
        check=("verification", "records"),
    ),
    Fault(
        "a video that is hidden by hand",
        in_turn(by_hand("UPDATE videos SET deleted_at = now()"), verified),
        in_turn(by_hand("UPDATE videos SET deleted_at = NULL"), verified),
        ("check_failed",),
        check=("verification", "records"),
    ),
    Fault(
        "an audit log that is changed by hand",
        in_turn(by_hand("UPDATE audit_log SET actor = 'nobody|' || actor WHERE event_id = 2"), verified),
        in_turn(by_hand("UPDATE audit_log SET actor = actor[8:] WHERE event_id = 2"), verified),
        ("check_failed",),
        check=("verification", "records"),
    ),
    Fault(
        "a journal that is damaged",
        in_turn(JOURNAL_CHANGED.breaks, verified),
        in_turn(JOURNAL_CHANGED.mends, verified),
        ("check_failed",),
        check=("verification", "records"),
    ),
    Fault("a backup that somebody removed", BACKUP_GONE.breaks, BACKUP_GONE.mends, ("backup_lost",)),
    Fault(
        "a staged file of what is committed that is gone",
        in_turn(STAGED_GONE.breaks, verified),
        in_turn(STAGED_GONE.mends, verified),
        ("check_failed",),
        check=("committed_video", "lineage_complete"),
    ),
    Fault(
        "a video with a gap",
        brought("gap.mp4", lambda path: make_clip(path, times=_WITH_A_GAP, fps=10)),
        deleted("gap.mp4"),
        ("incomplete",),
        "WARN",
        state=("gap.mp4", "committed"),
    ),
    Fault(
        "a stage that misses its target",
        setting(frames_target_s=1e-9),
        setting(frames_target_s=10.0),
        ("stage_slow",),
        "WARN",
    ),
    Fault("a disk that is nearly full", setting(disk_free_min=0.999), setting(disk_free_min=0.0), ("disk_low",)),
    Fault(
        "no backup for days",
        in_turn(setting(verify_age_h=1e6), later(days=3)),
        in_turn(lambda world: world.run(BACK_UP), later(hours=1)),
        ("backup_old",),
    ),
    Fault("a backup that cannot be made", no_backup_can_be_made, backups_can_be_made, ("run_failed",)),
    Fault(
        "a backup that is damaged",
        in_turn(lambda world: world.run(BACK_UP), damaged_backup),
        new_backup,
        ("check_failed",),
        check=("backup", "recovers"),
    ),
    Fault(
        "nothing is verified for days",
        in_turn(setting(backup_age_h=1e6), later(days=3)),
        in_turn(later(hours=0), verified),
        ("check_overdue",),
    ),
    Fault("a clock that was ahead", later(hours=-2), later(hours=0), ("clock_skew",), "WARN"),
    Fault(
        "a partition of which nobody knows",
        lambda world: world.instance.add_dynamic_partitions("videos", ["ghost-0123456789ab"]),
        lambda world: world.instance.delete_dynamic_partition("videos", "ghost-0123456789ab"),
        ("unreconciled",),
        "WARN",
    ),
    Fault(
        "more uploads than the machine takes",
        in_turn(setting(backlog_most=1), *map(claimed_only, ("wait-1.mp4", "wait-2.mp4"))),
        works,
        ("backlog",),
        "WARN",
    ),
    Fault("a rollback by a person", rolled_back_pointer, nothing, ()),
    Fault(
        "an index of the search that is removed",
        in_turn(index_removed, searched),
        in_turn(index_made_anew, searched),
        ("index_behind",),
        "WARN",
        settings={"index_behind_s": 0},
    ),
    Fault(
        "an index of the search of which a file is damaged",
        in_turn(index_bytes_changed("held.json"), searched),
        in_turn(index_made_anew, searched),
        ("index_behind",),
        "WARN",
    ),
    Fault(
        "an index of the search of which the rows are damaged",
        in_turn(index_bytes_changed("data/*.lance"), verified, searched),
        in_turn(index_made_anew, searched),
        ("index_behind",),
        "WARN",
        check=("search_index", "agrees"),
    ),
    Fault(
        "an embedder that is gone",
        in_turn(no_embedder, searched),
        in_turn(embedder_again, searched),
        ("index_behind",),
        "WARN",
        check=("search_index", "agrees"),
        state=("unembedded.mp4", "committed"),
    ),
)
