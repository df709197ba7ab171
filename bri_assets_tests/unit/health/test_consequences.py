"""One fault is one alert: each consequence is covered by its cause, and by no other."""

from __future__ import annotations

from typing import Any

import pytest

from bri_assets.findings import RULES, Finding
from bri_assets.health.consequences import CONSEQUENCES, Consequence, covered, without_consequences


def finding(rule: str, video_id: str | None = None, **facts: Any) -> Finding:
    return Finding(rule, f"video:{video_id}" if video_id else rule, "What.", "Next.", video_id=video_id, facts=facts)


#: Cause, what follows from it, and what looks alike and does not.
PAIRS: dict[str, tuple[Finding, Finding, Finding]] = {
    "a failed ingest and its failed check": (
        finding("ingest_failed", "a"),
        finding("check_failed", "a"),
        finding("check_failed", "b"),
    ),
    "a failed ingest and its failed run": (
        finding("ingest_failed", "a"),
        finding("run_failed", "a"),
        finding("run_failed"),
    ),
    "a failed ingest and its lateness": (
        finding("ingest_failed", "a"),
        finding("not_fresh", "a"),
        finding("not_fresh", "b"),
    ),
    "a stuck ingest and its lateness": (
        finding("ingest_stuck", "a"),
        finding("not_fresh", "a"),
        finding("not_fresh", "b"),
    ),
    "a long queue and what waits in it": (
        finding("backlog"),
        finding("not_fresh", "a", state="ingesting"),
        finding("not_fresh", "a", state="failed"),
    ),
    "a dead model and what was not begun for it": (
        finding("model_failing"),
        finding("ingest_failed", "a", code="breaker_open"),
        finding("ingest_failed", "a", code="run_failed"),
    ),
    "a full disk and what it refused": (
        finding("disk_low"),
        finding("ingest_failed", "a", code="storage"),
        finding("ingest_failed", "a", code="timeout"),
    ),
    "a full disk and a run that it failed": (
        finding("disk_low"),
        finding("run_failed", code="storage"),
        finding("run_failed", code="run_failed"),
    ),
    "changed rows and their figures": (
        finding("check_failed", "a", check="unchanged"),
        finding("incomplete", "a"),
        finding("incomplete", "b"),
    ),
    "a failed run and the check that failed it": (
        finding("run_failed", "a", run_id="1"),
        finding("check_failed", "a", run_id="1"),
        finding("check_failed", "a", run_id="2"),
    ),
    "a failed verification, and what it found": (
        finding("run_failed", run_id="1", job="verify"),
        finding("check_overdue"),
        finding("check_failed", "a", run_id="1"),
    ),
    "a failed backup and its age": (
        finding("run_failed", job="back_up"),
        finding("backup_old"),
        finding("check_overdue"),
    ),
    "a failed backup and the place where none is seen": (
        finding("run_failed", job="back_up"),
        finding("backup_lost"),
        finding("disk_low"),
    ),
    "changed records and what disagrees with them": (
        finding("check_failed", check="records"),
        finding("unreconciled"),
        finding("incomplete", "a"),
    ),
    "a lost backup and the age of what is left": (
        finding("backup_lost"),
        finding("backup_old"),
        finding("check_overdue"),
    ),
    "a sensor that is off and what waits for it": (
        finding("automation_stopped", name="uploads"),
        finding("backlog"),
        finding("backup_old"),
    ),
    "a sensor that fails and what waits for it": (
        finding("automation_failing", name="uploads"),
        finding("backlog"),
        finding("disk_low"),
    ),
    "weights of the ingest and of the search": (
        finding("ingest_failed", "a", code="weights"),
        finding("index_behind", embedder=True),
        finding("index_behind", embedder=False),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_what_follows_is_not_told_and_what_looks_alike_is(pair: str) -> None:
    cause, effect, other = PAIRS[pair]
    assert without_consequences([effect, cause]) == [cause]
    assert covered([effect, cause]) == [(effect, cause)]
    assert without_consequences([other, cause]) == [other, cause]
    assert without_consequences([effect]) == [effect], "without its cause it is told"


@pytest.mark.parametrize("consequence", CONSEQUENCES, ids=lambda one: f"{one.cause}-{'-'.join(one.effects)}")
def test_every_row_of_the_table_names_rules_and_has_a_reason_and_a_pair(consequence: Consequence) -> None:
    assert {consequence.cause, *consequence.effects} <= RULES.keys()
    assert consequence.cause not in consequence.effects
    assert consequence.reason.endswith(".")
    assert any(
        cause.rule == consequence.cause and effect.rule in consequence.effects and consequence.when(cause, effect)
        for cause, effect, _ in PAIRS.values()
    )


def test_no_two_rules_cover_each_other() -> None:
    edges = {(one.cause, effect) for one in CONSEQUENCES for effect in one.effects}
    for _ in RULES:
        edges |= {(a, d) for a, b in edges for c, d in edges if b == c}
    assert all(cause != effect for cause, effect in edges)


def test_a_chain_of_consequences_leaves_its_beginning() -> None:
    disk = finding("disk_low")
    ingest = finding("ingest_failed", "a", code="storage")
    late = finding("not_fresh", "a", state="failed")
    assert without_consequences([late, ingest, disk]) == [disk]


def test_a_failure_that_is_being_tried_again_is_held_and_covers_what_follows_from_it() -> None:
    trying, late = finding("ingest_failed", "a", retrying=True), finding("not_fresh", "a", state="ingesting")
    assert without_consequences([trying, late]) == []
    assert covered([trying, late]) == [(trying, None), (late, trying)]
