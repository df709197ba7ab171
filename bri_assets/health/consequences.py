"""One fault, one alert: which finding is only a consequence of another that is found too.

A consequence still holds: it is not told, and an alert that was told of it before its cause showed is not resolved by
it. What does not belong here: the findings (the looks) and remembering (``store.outbox``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bri_assets.findings import Finding

__all__ = ["CONSEQUENCES", "Consequence", "covered", "without_consequences"]

_Test = Callable[[Finding, Finding], bool]


@dataclass(frozen=True)
class Consequence:
    """That findings of some rules follow from one of another.

    Args:
        cause: rule of the cause.
        effects: rules of what follows from it.
        when: is handed cause and effect; whether that is so.
        reason: why, as a sentence.
    """

    cause: str
    effects: tuple[str, ...]
    when: _Test
    reason: str


def _same_video(cause: Finding, effect: Finding) -> bool:
    return cause.video_id is not None and cause.video_id == effect.video_id


def _same_run(cause: Finding, effect: Finding) -> bool:
    # A verification that fails is not why the checks failed whose verdicts it wrote.
    return _same_video(cause, effect) and cause.facts.get("run_id") == effect.facts.get("run_id")


def _code(*codes: str) -> _Test:
    return lambda _, effect: effect.facts.get("code") in codes


def _waits(_: Finding, effect: Finding) -> bool:
    return effect.facts.get("state") == "ingesting"


def _of_sensor(*names: str) -> _Test:
    return lambda cause, _: cause.facts.get("name") in names


def _of_job(*jobs: str) -> _Test:
    return lambda cause, _: cause.facts.get("job") in jobs


#: Every cause with what follows from it.
CONSEQUENCES = (
    Consequence(
        "ingest_failed",
        ("ingest_stuck", "not_fresh", "run_failed", "check_failed", "unreconciled"),
        _same_video,
        "An ingest that failed leaves a failed run and failed checks behind, and its video is late.",
    ),
    Consequence(
        "ingest_stuck",
        ("not_fresh", "unreconciled"),
        _same_video,
        "An ingest that is stuck makes its video late.",
    ),
    Consequence(
        "backlog",
        ("not_fresh",),
        _waits,
        "Where the queue is too long, what waits in it is late.",
    ),
    Consequence(
        "model_failing",
        ("ingest_failed",),
        _code("breaker_open"),
        "Uploads that were not begun, for a model or hub is not asked for now, wait for that alone.",
    ),
    Consequence(
        "disk_low",
        ("ingest_failed", "run_failed"),
        _code("storage"),
        "What the disk refused to take failed for that.",
    ),
    Consequence(
        "check_failed",
        ("unreconciled", "incomplete", "low_accuracy", "unusual_volume"),
        lambda cause, effect: _same_video(cause, effect) and cause.facts.get("check") in {"unchanged", "images"},
        "Rows or images that were changed behind the store's back make its figures and files disagree.",
    ),
    Consequence(
        "check_failed",
        ("unreconciled", "index_behind"),
        lambda cause, _: cause.facts.get("check") == "records",
        "Records that somebody changed disagree with all that is compared with them.",
    ),
    Consequence(
        "run_failed",
        ("check_failed",),
        _same_run,
        "A run that a failed check ended says so itself.",
    ),
    Consequence(
        "run_failed",
        ("check_overdue",),
        _of_job("verify"),
        "A verification that fails is not finished.",
    ),
    Consequence(
        "run_failed",
        ("backup_old", "backup_lost"),
        _of_job("back_up"),
        "A backup that fails is not made, and where none can be made none may be seen.",
    ),
    Consequence(
        "backup_lost",
        ("backup_old",),
        lambda _, __: True,
        "Where the newest backup is gone, what is left is older.",
    ),
    Consequence(
        "ingest_failed",
        ("index_behind",),
        lambda cause, effect: cause.facts.get("code") == "weights" and bool(effect.facts.get("embedder")),
        "Where the models of the ingest are not on this machine, that of the search is not told of by itself.",
    ),
    Consequence(
        "automation_stopped",
        ("backlog",),
        _of_sensor("uploads"),
        "While the sensor that takes uploads is switched off, they wait.",
    ),
    Consequence(
        "automation_failing",
        ("backlog",),
        _of_sensor("uploads"),
        "While the sensor that takes uploads fails, they wait.",
    ),
)


def covered(findings: Sequence[Finding]) -> list[tuple[Finding, Finding | None]]:
    """The findings that are not told, each with its cause among the others.

    Without a cause is the failure of an ingest that is being tried again, or of a check in one that is not settled:
    whether it holds, the attempt will show.
    """
    found: list[tuple[Finding, Finding | None]] = []
    for effect in findings:
        if effect.facts.get("retrying") or effect.facts.get("undecided"):
            found.append((effect, None))
        else:
            cause = next(_causes(effect, findings), None)
            if cause is not None:
                found.append((effect, cause))
    return found


def without_consequences(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that are to be told: those that follow from no other, in their order."""
    hidden = {id(effect) for effect, _ in covered(findings)}
    return [finding for finding in findings if id(finding) not in hidden]


def _causes(effect: Finding, findings: Iterable[Finding]) -> Iterator[Finding]:
    known = [rule for rule in CONSEQUENCES if effect.rule in rule.effects]
    return (
        cause
        for cause in findings
        if cause is not effect and any(rule.cause == cause.rule and rule.when(cause, effect) for rule in known)
    )
