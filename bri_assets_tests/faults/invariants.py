"""What must hold of a store whenever a process died over it, looked at in one place.

It opens, which finishes what was begun and holds it against its journal; every row of every version is the one that was
committed; everything acknowledged is there; readers see whole videos only; the journal says what the audit log says.
What does not belong here: how processes die (``killing``) and what they were doing (``work``).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from bri_assets.errors import BriError
from bri_assets.settings import Settings
from bri_assets.staging import StagingArea
from bri_assets.store import migrations, reads
from bri_assets.store.access.connection import StoreFile
from bri_assets.store.access.journal import Journal, events_of
from bri_assets.store.facts import with_facts
from bri_assets.store.recovery.backup_folder import kept, require_intact
from bri_assets.store.recovery.whole import examine
from bri_assets_tests.faults.ledger import Entry, Held, entries, fold

__all__ = ["broken", "half_visible", "held_by"]

_VIEWS = {
    "v_frames": "n.frames",
    "v_captions": "n.captions",
    "v_transcripts": "n.transcript_segments",
    "v_detections": "n.detections",
    "video_context": "n.frames",
}


def broken(home: Path, attempt: Entry | None = None) -> list[str]:
    """Everything that does not hold of the store of a home; empty when all does.

    Args:
        home: BRI_HOME, with nobody in it.
        attempt: what was under way and not acknowledged: it may be done or not.
    """
    settings = Settings(home=home)
    file = StoreFile.of(settings)
    try:
        with file.open() as connection:
            wrong = examine(connection).wrong + half_visible(connection)
            wrong += _not_held(connection, home, attempt) + _misread(connection, settings)
            wrong += _not_remembered(connection, home, attempt)
            told, log = list(Journal(settings.journal_path).events()), events_of(connection)
        if told != log:
            wrong.append(f"the journal tells of {len(told)} events, the audit log of {len(log)}")
        wrong += [f"{name.name} was left" for name in file.path.parent.glob("*.swap.json")]
        wrong += _damaged_backups(settings)
    except (BriError, duckdb.Error) as error:
        return [f"{type(error).__name__}: {error}"]
    return wrong


def half_visible(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Videos of which the views show another number of rows than their version has, or that they should not show."""
    wrong = []
    for view, count in _VIEWS.items():
        found = connection.execute(
            f"""SELECT video_id, seen, wanted FROM
                  (SELECT video_id, count(*) AS seen FROM {view} GROUP BY video_id) FULL JOIN
                  (SELECT v.video_id, {count} AS wanted FROM current_versions c JOIN videos v USING (video_id)
                   JOIN video_versions n USING (version_id) WHERE v.deleted_at IS NULL AND {count} > 0)
                USING (video_id) WHERE seen IS DISTINCT FROM wanted"""
        ).fetchall()
        wrong += [f"{view} shows {seen} rows of {video}, whose version has {wanted}" for video, seen, wanted in found]
    return wrong


def held_by(connection: duckdb.DuckDBPyConnection) -> dict[str, Held]:
    """What a store holds, by video; one whose purge was begun is not in it."""
    found = connection.execute(
        """SELECT n.video_id, list(n.bundle_sha256 ORDER BY n.version),
                  max(CASE WHEN n.version_id = c.version_id THEN n.bundle_sha256 END),
                  bool_or(v.deleted_at IS NOT NULL),
                  coalesce(list(n.bundle_sha256) FILTER (n.state = 'archived'), [])
           FROM video_versions n JOIN videos v USING (video_id) LEFT JOIN current_versions c USING (video_id)
           WHERE n.video_id NOT IN (SELECT video_id FROM purges WHERE finished_at IS NULL)
           GROUP BY n.video_id"""
    ).fetchall()
    return {video: Held(bundles, shown, deleted, set(archived)) for video, bundles, shown, deleted, archived in found}


def _not_held(connection: duckdb.DuckDBPyConnection, home: Path, attempt: Entry | None) -> list[str]:
    done = entries(home)
    before, after, now = fold(done), fold([*done, attempt] if attempt else done), held_by(connection)
    wrong = [
        f"{video} is held as {now.get(video)}; acknowledged was {before.get(video)}, begun {attempt}"
        for video in sorted(before.keys() | after.keys() | now.keys())
        if now.get(video) != before.get(video) and now.get(video) != after.get(video)
    ]
    numbers = dict(connection.execute("SELECT bundle_sha256, version_id FROM video_versions").fetchall())
    wrong += [
        f"the version {entry.version_id} of {entry.video_id} that was acknowledged is {numbers[entry.bundle]}"
        for entry in done
        if entry.work == "commit"
        and entry.version_id
        and numbers.get(entry.bundle, entry.version_id) != entry.version_id
    ]
    made = {name for (name,) in connection.execute("SELECT backup_id FROM backups").fetchall()}
    return wrong + [
        f"the backup {entry.backup_id} is not recorded"
        for entry in done
        if entry.work == "backup" and entry.backup_id not in made
    ]


def _not_remembered(connection: duckdb.DuckDBPyConnection, home: Path, attempt: Entry | None) -> list[str]:
    """Turns of which half is there, or that were acknowledged and are gone; a restore may take those before it."""
    halves = connection.execute(
        """SELECT turn_id, list(role ORDER BY message_id) FROM memory GROUP BY turn_id
           HAVING list(role ORDER BY message_id) <> ['user', 'assistant']"""
    ).fetchall()
    wrong = [f"of the turn {turn} only {roles} is there" for turn, roles in halves]
    done = [*entries(home), *([attempt] if attempt and attempt.work == "restore" else [])]
    restored = max((at for at, entry in enumerate(done) if entry.work == "restore"), default=-1)
    there = {turn for (turn,) in connection.execute("SELECT DISTINCT turn_id FROM memory").fetchall()}
    said = [entry.turn_id for entry in done[restored + 1 :] if entry.work == "remember"]
    return wrong + [f"the turn {turn} was acknowledged, and is gone" for turn in said if turn not in there]


def _damaged_backups(settings: Settings) -> list[str]:
    wrong = []
    for backup in kept(settings.backup_dir):
        try:
            require_intact(backup)
        except BriError as error:
            wrong.append(f"a backup is kept that is damaged: {error}")
    if wrong:
        return wrong
    for backup in [backup for backup in kept(settings.backup_dir) if backup.revision == migrations.HEAD][-1:]:
        with duckdb.connect(str(backup.database), read_only=True) as connection:
            wrong += examine(connection).wrong
    return wrong


def _misread(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    """Videos that are shown and cannot be read as an agent reads them, the facts of their files included."""
    staging, wrong = StagingArea(settings.staged_dir), []
    for (video,) in connection.execute("SELECT video_id FROM v_videos").fetchall():
        found = with_facts(reads.video(connection, video), staging)
        if any(len(found[table]) != found["video"][table] for table in ("frames", "captions", "detections")):
            wrong.append(f"{video} is read as another than its version")
    return wrong
