"""What the store says to a comparison, and the repairs in it: each is made once, whoever asks at once."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bri_assets.errors import CommitRefused
from bri_assets.store import NewUpload, Store
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.history import History
from bri_assets.store.reconciliation import Ended, Reconciliation, Repaired, Retry, Started
from bri_assets_tests.bundles import SOURCE_SHA256, VIDEO_ID, open_store, operations, rows, stage
from bri_assets_tests.commands import ROOT

UPLOAD = NewUpload("/somewhere/holiday.mp4", "holiday.mp4", "1-2-3-4-5", 1000, SOURCE_SHA256, VIDEO_ID)
COPY = NewUpload("/elsewhere/copy.mp4", "copy.mp4", "9-9-9-9-9", 1000, SOURCE_SHA256, f"copy-{SOURCE_SHA256[:12]}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


@pytest.fixture
def reconciliation(store: Store) -> Reconciliation:
    return operations(Reconciliation, store.home)


def fail(store: Store, code: str, *, upload: NewUpload = UPLOAD, by: str = "sensor") -> None:
    store.claim(upload, requested_by=by)
    store.mark_failed(VIDEO_ID, run_id="run-1", channel="runs", code=code, reason=f"because of {code}")


def retry(reconciliation: Reconciliation, channel: str = "reconcile") -> list[str]:
    letters = reconciliation.dead_letters()
    return reconciliation.retry([Retry(one.upload_id, one.attempts) for one in letters], channel=channel)


def end(store: Store, reconciliation: Reconciliation, code: str) -> list[str]:
    (upload,) = store.pending()
    over = Ended(upload.upload_id, upload.video_id, upload.attempt_id, "run-2", code, "again")
    return reconciliation.fail([over], channel="runs")


def actions(store: Store) -> list[str]:
    with store.file.open() as connection:
        return [row[0] for row in connection.execute("SELECT action FROM audit_log ORDER BY event_id").fetchall()]


def test_a_retry_is_reserved_once_and_is_an_attempt_of_its_own(store: Store, reconciliation: Reconciliation) -> None:
    fail(store, "run_died")
    (letter,) = reconciliation.dead_letters()
    assert retry(reconciliation) == [UPLOAD.upload_id]
    (pending,) = store.pending()
    assert (pending.attempt, pending.requested_by, pending.run_id) == (2, "reconcile", None)
    assert pending.attempt_id != letter.attempt_id
    assert reconciliation.retry([Retry(letter.upload_id, letter.attempts)], channel="reconcile") == []
    assert actions(store)[-1] == "upload.retried"


def test_of_many_processes_that_retry_at_once_one_gets_it(store: Store, reconciliation: Reconciliation) -> None:
    fail(store, "run_died")
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from bri_assets.store.reconciliation import Reconciliation, Retry
        from bri_assets_tests.bundles import operations
        reconciliation = operations(Reconciliation, Path(sys.argv[1]))
        sys.stdin.readline()
        print(len(reconciliation.retry([Retry(sys.argv[2], 1)], channel="reconcile")))
        """
    )
    command = [sys.executable, "-c", program, str(store.home), UPLOAD.upload_id]
    rivals = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(3)
    ]
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    said = [rival.communicate(timeout=120)[0].strip() for rival in rivals]
    assert sorted(said) == ["0", "0", "1"]


@pytest.mark.parametrize("how", ["committed", "deleted", "ingesting"])
def test_what_needs_no_attempt_gets_none(store: Store, reconciliation: Reconciliation, how: str) -> None:
    fail(store, "run_died")
    letters = reconciliation.dead_letters()
    if how == "ingesting":
        assert store.claim(COPY, requested_by="cli").attempt == 1
    else:
        store.commit(stage(store.home, rows(store.home)), run_id="run", channel="test")
        with store.writing() as connection:
            connection.execute("UPDATE uploads SET state = 'failed'")
    if how == "deleted":
        operations(Deletion, store.home).delete(VIDEO_ID, channel="test")
    assert reconciliation.retry([Retry(one.upload_id, one.attempts) for one in letters], channel="reconcile") == []
    assert {letter.video for letter in reconciliation.dead_letters()} == {how}


def test_attempts_that_nothing_was_tried_in_are_not_counted(store: Store, reconciliation: Reconciliation) -> None:
    fail(store, "breaker_open")
    assert [letter.tries for letter in reconciliation.dead_letters()] == [0]
    for tries, code in enumerate(["run_died", "breaker_open", "run_died"], start=1):
        retry(reconciliation)
        end(store, reconciliation, code)
        (letter,) = reconciliation.dead_letters()
        assert (letter.attempts, letter.tries) == (tries + 1, [1, 1, 2][tries - 1])


def test_attempts_that_a_person_asked_for_are_not_counted(store: Store, reconciliation: Reconciliation) -> None:
    fail(store, "run_died", by="cli")
    retry(reconciliation, channel="retry")
    end(store, reconciliation, "run_died")
    (letter,) = reconciliation.dead_letters()
    assert (letter.attempts, letter.tries) == (2, 0)


def test_attempts_at_copies_of_a_file_are_counted_together(store: Store, reconciliation: Reconciliation) -> None:
    fail(store, "run_died")
    fail(store, "run_died", upload=COPY)
    assert {(letter.filename, letter.tries) for letter in reconciliation.dead_letters()} == {
        ("holiday.mp4", 2),
        ("copy.mp4", 2),
    }


def test_the_end_of_an_attempt_is_recorded_once_and_never_that_of_the_next(
    store: Store, reconciliation: Reconciliation
) -> None:
    store.claim(UPLOAD, requested_by="sensor")
    (first,) = store.pending()
    over = Ended(first.upload_id, VIDEO_ID, first.attempt_id, "run-1", "run_died", "it died")
    assert reconciliation.fail([over], channel="runs") == [UPLOAD.upload_id]
    assert reconciliation.fail([over], channel="runs") == []
    retry(reconciliation)
    assert reconciliation.fail([over], channel="runs") == []
    assert [upload.attempt for upload in store.pending()] == [2]


def test_a_file_whose_path_holds_other_bytes_since_is_no_dead_letter(
    store: Store, reconciliation: Reconciliation
) -> None:
    fail(store, "run_died")
    other = replace(UPLOAD, sha256="b" * 64, video_id="other-" + "b" * 12, signature="2-2-2-2-2")
    store.claim(other, requested_by="sensor")
    assert reconciliation.dead_letters() == []


def test_the_most_urgent_dead_letters_come_first_and_the_oldest_among_equals(
    store: Store, reconciliation: Reconciliation
) -> None:
    for name, priority in (("a", -1), ("b", 1), ("c", -1), ("d", 1)):
        sha256 = (name * 64)[:64]
        upload = NewUpload(f"/u/{name}.mp4", f"{name}.mp4", "1-1-1-1-1", 1, sha256, f"{name}-{sha256[:12]}")
        claim = store.claim(upload, requested_by="sensor", priority=priority)
        store.mark_failed(claim.video_id, run_id=None, channel="runs", code="run_died", reason="died")
    assert [letter.filename[0] for letter in reconciliation.dead_letters()] == ["b", "d", "a", "c"]


def test_what_is_known_of_videos(store: Store, reconciliation: Reconciliation) -> None:
    assert reconciliation.known().committed == {}
    fail(store, "run_died")
    assert reconciliation.known().uploaded == [VIDEO_ID]
    before = datetime.now(UTC) - timedelta(seconds=1)
    store.commit(stage(store.home, rows(store.home)), run_id="run", channel="test")
    known = reconciliation.known()
    assert known.committed[VIDEO_ID] > before
    assert (known.uploaded, known.mislabelled, known.unfounded) == ([], [], {})
    operations(Deletion, store.home).delete(VIDEO_ID, channel="test")
    known = reconciliation.known()
    assert (known.committed, known.others) == ({}, [VIDEO_ID])
    operations(Purge, store.home).purge(VIDEO_ID, reason="asked for", channel="test")
    assert reconciliation.known().others == [VIDEO_ID]


def test_uploads_of_a_committed_video_are_labelled_as_that(store: Store, reconciliation: Reconciliation) -> None:
    fail(store, "run_died")
    fail(store, "run_died", upload=COPY)
    store.commit(stage(store.home, rows(store.home)), run_id="run", channel="test")
    with store.writing() as connection:
        connection.execute("UPDATE uploads SET state = 'failed', code = 'run_died', reason = 'died'")
    assert reconciliation.known().mislabelled == [VIDEO_ID]
    assert len(reconciliation.label([VIDEO_ID], channel="reconcile")) == 2
    assert reconciliation.label([VIDEO_ID], channel="reconcile") == []
    assert {(row["state"], row["reason"]) for row in store.status()} == {("committed", None)}


def test_an_upload_that_says_committed_without_a_version_is_unfounded(
    store: Store, reconciliation: Reconciliation
) -> None:
    fail(store, "run_died")
    with store.writing() as connection:
        connection.execute("UPDATE uploads SET state = 'committed'")
    assert reconciliation.known().unfounded == {UPLOAD.upload_id: UPLOAD.path}


def test_bundles_are_judged_by_what_became_of_them(store: Store, reconciliation: Reconciliation) -> None:
    first = stage(store.home, rows(store.home))
    assert reconciliation.judged([first.sha256]) == {}
    store.commit(first, run_id="run", channel="test")
    changed = rows(store.home)
    changed["captions"].pop()
    refused = stage(store.home, changed)
    with pytest.raises(CommitRefused):
        store.commit(refused, run_id="run", channel="test")
    changed = rows(store.home)
    changed["captions"][0]["text"] = "another picture"
    second = stage(store.home, changed)
    store.commit(second, run_id="run", channel="test")
    operations(History, store.home).rollback(VIDEO_ID, 1, channel="test")
    assert reconciliation.judged([first.sha256, second.sha256, refused.sha256, "f" * 64]) == {
        first.sha256: "committed",
        second.sha256: "committed",
        refused.sha256: "refused",
    }


def test_repairs_and_started_runs_are_kept_in_the_audit_log(store: Store, reconciliation: Reconciliation) -> None:
    store.claim(UPLOAD, requested_by="sensor")
    reconciliation.start([Started(UPLOAD.upload_id, "run-7")], channel="runs")
    reconciliation.record([Repaired("add", "partitions", VIDEO_ID)], channel="reconcile")
    assert store.pending()[0].run_id == "run-7"
    with store.file.open() as connection:
        found = connection.execute(
            "SELECT action, entity, entity_id, detail ->> 'repair' FROM audit_log ORDER BY event_id DESC LIMIT 2"
        ).fetchall()
    assert found == [
        ("reconcile.repaired", "partitions", VIDEO_ID, "add"),
        ("upload.started", "uploads", UPLOAD.upload_id, None),
    ]
