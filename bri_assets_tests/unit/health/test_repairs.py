"""Which repairs are safe and due: pure, so every state that can be is made by hand here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bri_assets.breaker import OpenBreaker
from bri_assets.ends import CODES
from bri_assets.health.bundles import StagedBundle
from bri_assets.health.repairs import (
    AddPartition,
    Asked,
    CommitStaged,
    EndAttempt,
    FailRun,
    IndexSeen,
    Label,
    PendingSeen,
    RetryUpload,
    RunSeen,
    State,
    SyncIndex,
    outlooks,
    plan,
)
from bri_assets.health.retries import RULES, World, outlook
from bri_assets.settings import Settings
from bri_assets.store import PendingUpload
from bri_assets.store.reconciliation import DeadLetter, Known
from bri_assets_tests.commands import ROOT

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings(home=Path("nowhere"), upload_attempts=3, retry_after_s=60)
NOTHING = Known({}, [], [], [], {}, None)
BREAKER = OpenBreaker("model:blip", 3, NOW - timedelta(seconds=100), "it raised", NOW + timedelta(seconds=200))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def letter(name: str = "a", **other: Any) -> DeadLetter:
    made = DeadLetter(
        upload_id=f"u-{name}",
        video_id=f"{name}-0123456789ab",
        path=f"/u/{name}.mp4",
        filename=f"{name}.mp4",
        signature="1-1-1-1-1",
        sha256="0" * 64,
        state="failed",
        code="run_died",
        reason="died",
        attempts=1,
        tries=1,
        priority=0,
        run_id="run-1",
        attempt_id=f"u-{name}:1:1",
        created_at=ago(9000),
        updated_at=ago(8000),
        video="",
    )
    return replace(made, **other)


def state(*letters: DeadLetter, **other: Any) -> State:
    known = replace(NOTHING, uploaded=[one.video_id for one in letters if one.video_id])
    made = State(SETTINGS, NOW, known, letters, {one.upload_id: "there" for one in letters})
    return replace(made, partitions=frozenset(known.uploaded), **other)


def retried(found: State) -> list[str]:
    return [repair.letter.upload_id for repair in plan(found) if isinstance(repair, RetryUpload)]


def bundle(video_id: str = "a-0123456789ab", **other: Any) -> StagedBundle:
    return replace(StagedBundle(video_id, "b" * 64, ago(1000), "run-1", ""), **other)


def committed(**other: Any) -> State:
    known = replace(NOTHING, committed={"a-0123456789ab": ago(5000)})
    made = State(SETTINGS, NOW, known, bundles=(bundle(),), partitions=frozenset({"a-0123456789ab"}))
    return replace(made, **other)


def test_where_nothing_is_wrong_nothing_is_repaired() -> None:
    assert plan(State(SETTINGS, NOW, NOTHING)) == []


@pytest.mark.parametrize("code", sorted(RULES))
def test_the_table_says_what_is_retried_and_what_waits_for_a_person(code: str) -> None:
    by_machine = {
        "run_died",
        "abandoned",
        "breaker_open",
        "store_busy",
        "storage",
        "weights",
        "model_failed",
        "timeout",
        "staged",
    }
    assert (retried(state(letter(code=code))) == ["u-a"]) is (code in by_machine)
    page = (ROOT / "docs" / "runbooks" / "failed-upload.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith(f"| `{code}` |")]
    assert ("| yes" in line) is (code in by_machine)


def test_every_error_has_a_code_that_the_table_knows() -> None:
    assert set(CODES.values()) <= RULES.keys()


def test_a_code_that_nobody_knows_waits_for_a_person() -> None:
    assert retried(state(letter(code="of another version"))) == []
    assert retried(state(letter(code=None))) == []


def test_retries_back_off_and_come_to_an_end() -> None:
    waits = []
    for tries in (1, 2):
        look = outlooks(state(letter(tries=tries, updated_at=NOW)))["u-a"]
        assert look.due_at is not None
        waits.append((look.due_at - NOW).total_seconds())
        assert retried(state(letter(tries=tries, updated_at=ago(waits[-1] - 1)))) == []
        assert retried(state(letter(tries=tries, updated_at=ago(waits[-1] + 1)))) == ["u-a"]
    assert 60 <= waits[0] <= 90
    assert 240 <= waits[1] <= 360
    assert retried(state(letter(tries=3))) == []
    assert "tried 3 times" in outlooks(state(letter(tries=3)))["u-a"].why


def test_what_ended_the_same_way_twice_is_not_tried_thrice() -> None:
    for code in ("timeout", "model_failed"):
        assert retried(state(letter(code=code, tries=1))) == ["u-a"]
        assert retried(state(letter(code=code, tries=2))) == []


@given(st.integers(0, 10**6), st.integers(1, 100))
def test_a_wait_hangs_on_the_attempt_alone_and_is_at_most_an_hour_and_a_half(number: int, tries: int) -> None:
    settings = SETTINGS.model_copy(update={"upload_attempts": 100})
    failed = letter(attempt_id=f"u-a:{number}:1", tries=min(tries, 99), updated_at=NOW)
    looks = {outlook(failed, "there", World(settings, NOW)).due_at for _ in range(2)}
    (due_at,) = looks
    assert due_at is not None
    assert 60 <= (due_at - NOW).total_seconds() <= 5400


def test_uploads_that_failed_together_are_not_tried_together() -> None:
    together = [letter(f"v{number}", updated_at=NOW) for number in range(20)]
    assert len({look.due_at for look in outlooks(state(*together)).values()}) == 20


def test_a_failure_of_a_time_to_come_is_tried_at_once_for_the_clock_was_set_back() -> None:
    assert retried(state(letter(updated_at=NOW + timedelta(days=30)))) == ["u-a"]


@pytest.mark.parametrize(("file", "said"), [("changed", "changed"), ("gone", "gone")])
def test_an_upload_whose_file_changed_or_is_gone_waits_for_a_person(file: str, said: str) -> None:
    found = replace(state(letter()), files={"u-a": file})
    assert retried(found) == []
    assert said in outlooks(found)["u-a"].why


def test_of_copies_of_a_file_one_is_tried_and_that_one_whose_file_is_there() -> None:
    copies = (letter("a"), letter("b", video_id="a-0123456789ab"))
    assert retried(state(*copies)) == ["u-a"]
    assert retried(replace(state(*copies), files={"u-a": "gone", "u-b": "there"})) == ["u-b"]


def test_nothing_is_tried_while_a_run_works_on_its_partition() -> None:
    assert retried(state(letter(), working=frozenset({"a-0123456789ab"}))) == []


@pytest.mark.parametrize("video", ["ingesting", "committed", "deleted", "purging"])
def test_nothing_is_tried_whose_video_needs_none(video: str) -> None:
    assert retried(state(letter(video=video))) == []


def test_quarantined_files_wait_for_a_person() -> None:
    assert retried(state(letter(state="quarantined", code="truncated", video_id=None))) == []


def test_what_found_no_space_waits_until_there_is_some() -> None:
    full = state(letter(code="storage"), has_space=False)
    assert retried(full) == []
    assert outlooks(full)["u-a"].by_machine
    assert retried(replace(full, has_space=True)) == ["u-a"]


def test_a_breaker_lets_one_upload_try_and_the_others_follow_when_it_closes() -> None:
    waiting = [
        letter(f"v{number}", code="breaker_open", reason=f"captions: {BREAKER.name}: failed") for number in range(5)
    ]
    others = letter("z", code="breaker_open", reason="captions: hub:elsewhere: failed")
    shut = state(*waiting, others, breakers=(BREAKER,))
    assert retried(shut) == ["u-z"]
    half_open = replace(BREAKER, retry_at=ago(1))
    assert retried(state(*waiting, breakers=(half_open,))) == ["u-v0"]
    assert len(retried(state(*waiting))) == 5


def test_attempts_at_an_open_breaker_are_never_too_many() -> None:
    assert retried(state(letter(code="breaker_open", attempts=50, tries=3))) == ["u-a"]


def test_a_breaker_that_opened_in_a_time_to_come_is_tried_at_once() -> None:
    ahead = replace(BREAKER, retry_at=NOW + timedelta(days=1))
    assert retried(state(letter(code="breaker_open", reason=BREAKER.name), breakers=(ahead,))) == ["u-a"]


def test_no_look_retries_more_than_a_batch_and_the_most_urgent_go_first() -> None:
    settings = SETTINGS.model_copy(update={"intake_batch": 2})
    letters = [letter(f"v{number}") for number in range(5)]
    assert retried(replace(state(*letters), settings=settings)) == ["u-v0", "u-v1"]


def test_a_dead_run_is_failed_before_its_attempt_is_ended() -> None:
    pending = PendingUpload("u-a", "a-0123456789ab", "u-a:1:1", 0, "sensor", "run-1", 5.0)
    dead = RunSeen("run-1", "ingest", "a-0123456789ab")
    found = state(pending=(PendingSeen(pending, "run-1", True),), dead=(dead,))
    assert plan(found) == [FailRun(dead), EndAttempt(pending, "run-1")]


def test_an_attempt_that_goes_on_is_left_alone() -> None:
    pending = PendingUpload("u-a", "a-0123456789ab", "u-a:1:1", 0, "sensor", None, 5.0)
    for seen in (PendingSeen(pending, None, False), PendingSeen(pending, "run-1", False)):
        assert plan(state(pending=(seen,))) == []


def test_an_upload_of_a_committed_video_is_labelled_and_not_failed() -> None:
    pending = PendingUpload("u-a", "a-0123456789ab", "u-a:1:1", 0, "sensor", "run-1", 5.0)
    known = replace(NOTHING, mislabelled=["a-0123456789ab"])
    found = replace(state(), known=known, pending=(PendingSeen(pending, "run-1", True),))
    assert plan(found) == [Label("a-0123456789ab")]


def test_every_video_that_the_store_knows_gets_its_partition_back() -> None:
    known = replace(NOTHING, committed={"a-1": ago(10)}, uploaded=["b-1"], others=["deleted-1"])
    assert plan(State(SETTINGS, NOW, known)) == [AddPartition("a-1"), AddPartition("b-1")]


def test_a_complete_bundle_that_was_never_committed_is() -> None:
    assert plan(committed()) == [CommitStaged("a-0123456789ab", "b" * 64, 1)]


@pytest.mark.parametrize(
    "other",
    [
        {"bundles": (bundle(torn="`captions` was made of other rows"),)},
        {"bundles": (bundle(made_at=ago(6000)),)},
        {"bundles": (bundle(made_at=ago(5)),)},
        {"bundles": (bundle("unknown-0123456789ab"),)},
        {"judged": {"b" * 64: "committed"}},
        {"judged": {"b" * 64: "refused"}},
        {"working": frozenset({"a-0123456789ab"})},
        {"known": replace(NOTHING, committed={"a-0123456789ab": ago(5000)}, restored_at=ago(500))},
        {"known": replace(NOTHING, others=["a-0123456789ab"])},
        {"asked": {"b" * 64: Asked(3, ago(4000))}},
        {"asked": {"b" * 64: Asked(1, ago(10))}},
        {
            "pending": (
                PendingSeen(PendingUpload("u", "a-0123456789ab", "u:2:1", 0, "reconcile", None, 1.0), None, False),
            )
        },
    ],
    ids=[
        "torn",
        "older than what is shown",
        "somebody may be about to",
        "of a video that nobody knows",
        "committed before, and rolled back from",
        "refused",
        "a run works on it",
        "left behind by a restore",
        "deleted",
        "asked for often enough",
        "asked for just now",
        "an attempt is about to be made",
    ],
)
def test_no_other_bundle_is(other: dict[str, Any]) -> None:
    assert plan(committed(**other)) == []


def test_a_commit_that_failed_is_asked_for_again_under_another_key() -> None:
    assert plan(committed(asked={"b" * 64: Asked(1, ago(300))})) == [CommitStaged("a-0123456789ab", "b" * 64, 2)]


def test_of_a_failed_upload_only_what_was_staged_since_is_committed() -> None:
    refused = letter(code="commit_refused", updated_at=ago(2000))
    assert plan(state(refused, bundles=(bundle(made_at=ago(1000)),))) == [CommitStaged("a-0123456789ab", "b" * 64, 1)]
    assert plan(state(refused, bundles=(bundle(made_at=ago(3000)),))) == []


BEHIND = IndexSeen(videos=("a-0123456789ab",), lacking=1, since=ago(1000))


def test_an_index_that_does_not_follow_is_brought_up_and_one_that_is_wrong_is_made_anew() -> None:
    assert plan(state(index=BEHIND)) == [SyncIndex(BEHIND.fingerprint, 1, rebuild=False)]
    surplus = IndexSeen(surplus=2, since=ago(1000))
    assert plan(state(index=surplus)) == [SyncIndex(surplus.fingerprint, 1, rebuild=False)]
    for wrong in (IndexSeen(unusable="of another model"), IndexSeen(wrong=("a-0123456789ab",), since=ago(1))):
        assert plan(state(index=wrong)) == [SyncIndex(wrong.fingerprint, 1, rebuild=True)]


@pytest.mark.parametrize(
    "other",
    [
        {"index": replace(BEHIND, since=ago(5))},
        {"index": replace(BEHIND, at_work=True)},
        {"index": replace(BEHIND, embedder="its weights are gone")},
        {"index": replace(BEHIND, asked=Asked(3, ago(4000)))},
        {"index": replace(BEHIND, asked=Asked(1, ago(10)))},
        {"index": BEHIND, "working": frozenset({"a-0123456789ab"})},
    ],
    ids=[
        "whoever committed may be about to",
        "a run is at it",
        "no embedder",
        "often enough",
        "just now",
        "a run works on the video",
    ],
)
def test_no_other_index_is(other: dict[str, Any]) -> None:
    assert plan(state(**other)) == []


def test_what_is_wrong_with_the_index_is_counted_by_itself() -> None:
    asked = replace(BEHIND, asked=Asked(2, ago(300)))
    assert plan(state(index=asked)) == [SyncIndex(BEHIND.fingerprint, 3, rebuild=False)]
    assert replace(BEHIND, since=ago(5), at_work=True).fingerprint == BEHIND.fingerprint
    assert replace(BEHIND, lacking=2).fingerprint != BEHIND.fingerprint


def test_every_repair_reads_as_a_sentence() -> None:
    pending = PendingUpload("u-a", "a-1", "u-a:1:1", 0, "sensor", "run-1", 5.0)
    repairs = [
        AddPartition("a-1"),
        FailRun(RunSeen("run-1", "back_up", None)),
        EndAttempt(pending, "run-1"),
        Label("a-1"),
        RetryUpload(letter()),
        CommitStaged("a-1", "b" * 64, 1),
        SyncIndex("0" * 16, 1, rebuild=False),
        SyncIndex("0" * 16, 1, rebuild=True),
    ]
    assert all("(" not in str(repair).split(" ")[0] and len(str(repair).split()) > 3 for repair in repairs)
