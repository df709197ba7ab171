"""The table ``alert_silences``: what nobody wants to hear of for a time.

Of a pattern only ``*`` means anything, for subjects hold paths. What does not belong here: what a silence means for
what is due (``deliveries``, ``alerts``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import duckdb

from bri_assets.files import sha256_bytes
from bri_assets.store.outbox.model import Silence

__all__ = ["covered", "holding", "keep", "lift", "matches", "name_of", "silences"]


def name_of(rule: str, subject: str, until: datetime, reason: str) -> str:
    """The id of a silence: asked for twice, it is one."""
    identity = "\0".join((rule, subject, str(until.timestamp()), reason))
    return f"s-{sha256_bytes(identity.encode(errors='surrogateescape'))[:16]}"


def matches(silence: Silence, rule: str, subject: str) -> bool:
    """Whether a silence is about alerts of a rule and subject."""
    return _fits(silence.rule, rule) and _fits(silence.subject, subject)


def silences(connection: duckdb.DuckDBPyConnection) -> list[Silence]:
    """Every silence, also those that are over, the newest first."""
    found = connection.execute(
        """SELECT silence_id, rule, subject, reason, until, created_at, created_by FROM alert_silences
           ORDER BY created_at DESC, silence_id"""
    ).fetchall()
    return [Silence(*row) for row in found]


def holding(known: Iterable[Silence], rule: str, subject: str, at: datetime) -> datetime | None:
    """Until when alerts of a rule and subject are silenced; None where they are not."""
    ends = [one.until for one in known if one.created_at <= at < one.until and matches(one, rule, subject)]
    return max(ends, default=None)


def covered(known: Iterable[Silence], rule: str, subject: str, begin: datetime, end: datetime) -> bool:
    """Whether such alerts were silenced at every moment from ``begin`` to ``end``, by one silence or several."""
    reached = begin
    for one in sorted(known, key=lambda silence: silence.created_at):
        if one.created_at <= reached < one.until and matches(one, rule, subject):
            reached = one.until
    return reached > end


def keep(connection: duckdb.DuckDBPyConnection, silence: Silence) -> bool:
    """Store a silence; returns whether it was not there yet."""
    values = {
        "silence_id": silence.silence_id,
        "rule": silence.rule,
        "subject": silence.subject,
        "reason": silence.reason,
        "until": silence.until,
        "at": silence.created_at,
        "who": silence.created_by,
    }
    return bool(
        connection.execute(
            """INSERT INTO alert_silences
               VALUES ($silence_id, $rule, $subject, $reason, $until, $at, $who, $at, $who)
               ON CONFLICT DO NOTHING RETURNING silence_id""",
            values,
        ).fetchall()
    )


def lift(connection: duckdb.DuckDBPyConnection, silence_id: str, *, who: str, at: datetime) -> bool:
    """End a silence now; returns whether it was not over yet."""
    changed = connection.execute(
        """UPDATE alert_silences SET until = $at, updated_at = $at, updated_by = $who
           WHERE silence_id = $silence_id AND until > $at RETURNING silence_id""",
        {"silence_id": silence_id, "at": at, "who": who},
    ).fetchall()
    return bool(changed)


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None
