"""What can be wrong: the rules by which something is found, and a finding.

A finding is made anew at every look and says the same for as long as it holds; the outbox (``store.outbox``) remembers
which a person has heard of. What does not belong here: looking for findings (``health``), mending (``health.repairs``)
and telling (``alerts``).

How severe a rule is: ``ERROR`` where a reader of the store may get wrong data or none, where data may be lost, or where
nothing goes on until somebody acts; ``WARN`` where what is shown is right, but is less, later or worse than expected.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bri_assets.files import sha256_bytes

__all__ = ["RULES", "Finding", "Rule", "Severity"]

Severity = Literal["ERROR", "WARN"]


@dataclass(frozen=True)
class Rule:
    """A kind of finding.

    Args:
        name: stable; alerts, silences and receivers go by it.
        severity: of its findings, unless one says otherwise; see the module's docstring.
        meaning: what it finds, as a sentence.
        resolved: what makes it go away, as a sentence.
    """

    name: str
    severity: Severity
    meaning: str
    resolved: str


_RULES = (
    Rule(
        "upload_quarantined",
        "WARN",
        "A file that arrived is no video that can be ingested.",
        "The file is removed or replaced, or a person has it ingested.",
    ),
    Rule(
        "ingest_failed",
        "ERROR",
        "The ingest of an upload failed; its video is not there to be asked about.",
        "The video is committed, or deleted.",
    ),
    Rule(
        "ingest_stuck",
        "ERROR",
        "An upload was accepted, but is not committed in the time that it may take.",
        "The video is committed, or its ingest fails.",
    ),
    Rule(
        "run_failed",
        "ERROR",
        "A run that is no upload's own ingest failed.",
        "The same job, for the same partition, succeeds.",
    ),
    Rule(
        "check_failed",
        "ERROR",
        "An asset check failed; it has the severity of the check.",
        "The check passes when it is evaluated again.",
    ),
    Rule(
        "stage_slow",
        "WARN",
        "A stage took longer than its target.",
        "The next video that is committed keeps the target.",
    ),
    Rule(
        "incomplete",
        "WARN",
        "A video has less than what its upload implies.",
        "A version that is complete is committed, or the video is deleted.",
    ),
    Rule(
        "low_accuracy",
        "WARN",
        "The models are unsure of a video, or repeat themselves.",
        "A version with better figures is committed, or the video is deleted.",
    ),
    Rule(
        "unusual_volume",
        "WARN",
        "A video has far more or fewer rows than videos of its like.",
        "A version with usual counts is committed, or the video is deleted.",
    ),
    Rule("not_fresh", "ERROR", "An upload is not committed in the time that freshness allows.", "It is committed."),
    Rule("backlog", "WARN", "More uploads wait than should, or the oldest waits too long.", "The queue is shorter."),
    Rule("disk_low", "ERROR", "A disk that BRI writes to is nearly full.", "There is space again."),
    Rule("backup_old", "ERROR", "The newest backup is older than it may be.", "A backup is made."),
    Rule(
        "backup_lost",
        "ERROR",
        "The newest backup is gone, or is not as long as it was made.",
        "A backup is made, or the files are put back.",
    ),
    Rule(
        "model_failing",
        "ERROR",
        "A model or hub failed so often that it is not asked for a while.",
        "It works when it is tried again.",
    ),
    Rule("automation_failing", "ERROR", "The last tick of a sensor or schedule failed.", "Its next tick succeeds."),
    Rule("automation_stopped", "WARN", "A sensor or schedule is switched off.", "It is switched on."),
    Rule(
        "unreconciled",
        "WARN",
        "Uploads, partitions, staged bundles and committed versions disagree, and no program may mend it.",
        "They agree again.",
    ),
    Rule("clock_skew", "WARN", "Something is recorded as of a time that has not come yet.", "The clock has passed it."),
    Rule(
        "index_behind",
        "WARN",
        "The index of the search is not what is shown: it lacks videos, keeps some that are gone, or cannot be used.",
        "It follows what is shown again.",
    ),
    Rule("check_overdue", "ERROR", "What is committed was not verified for too long.", "It is verified."),
    # Told by `bri watch` alone, for the outbox cannot.
    Rule("store_unusable", "ERROR", "The store cannot be opened or read.", "It can."),
    Rule("daemon_dead", "ERROR", "Dagster's daemon does not report: no sensor or schedule works.", "It reports again."),
    Rule("alerts_stuck", "ERROR", "Alerts are not evaluated or not delivered.", "They are."),
)

#: Every rule by its name.
RULES = {rule.name: rule for rule in _RULES}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong now.

    Args:
        rule: a key of ``RULES``.
        subject: what is wrong, as ``video:tour-…``, ``upload:u-…``, ``check:frames/images/tour-…``, ``disk:/data``.
        summary: what was found, in sentences that a person who knows nothing of it understands.
        remedy: the command or step that comes next.
        version: which state of the subject; a finding of another version is another one. Empty where there is none.
        video_id: the video concerned, if there is one.
        severity: None for that of its rule.
        facts: what else is known, JSON-able; never content of a video.
    """

    rule: str
    subject: str
    summary: str
    remedy: str
    version: str = ""
    video_id: str | None = None
    severity: Severity | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def weight(self) -> Severity:
        """How severe it is."""
        return self.severity or RULES[self.rule].severity

    def alert_id(self, episode: int) -> str:
        """The id of the alert that this is for the given time since 1; a receiver recognises a repeat by it."""
        identity = "\0".join((self.rule, self.subject, self.version, str(episode)))
        return f"a-{sha256_bytes(identity.encode(errors='surrogateescape'))[:16]}"
