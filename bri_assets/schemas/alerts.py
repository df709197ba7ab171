"""What a person is told: ``alerts`` (the outbox), ``alert_deliveries``, ``alert_silences``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column

__all__ = ["AlertDeliveries", "AlertSilences", "Alerts"]


class Alerts(TableModel):
    """Findings that a person has to hear of: one row a rule, subject and version for as long as it is found."""

    alert_id: Series[str] = column("The alert's id, the same for whoever computes it.", str_matches=r"^a-[0-9a-f]{16}$")
    rule: Series[str] = column("Name of the rule that found it.", str_length={"min_value": 1})
    subject: Series[str] = column("What it was found of, as `video:tour-…`, `disk:home`.", str_length={"min_value": 1})
    version: Series[str] = column("Which state of the subject: a version, an attempt, a run; empty without one.")
    episode: Series[np.int32] = column("How often it was found anew after it was resolved, from 1.", ge=1)
    severity: Series[str] = column(
        "`ERROR`: somebody must act; `WARN`: it is worse than expected.", isin=["ERROR", "WARN"]
    )
    summary: Series[str] = column("What was found, in sentences.", str_length={"min_value": 1})
    remedy: Series[str] = column("What to do next.", str_length={"min_value": 1})
    facts: Series[str] = column("What else is known, JSON.", sql_type="JSON")
    video_id: Series[str] = column("The video concerned; null where it is about none.", nullable=True)
    fired_at: Series[UtcTime] = column("When it was first found, UTC.")
    resolved_at: Series[UtcTime] = column("When it was found no more, UTC; null while it is.", nullable=True)
    created_by: Series[str] = column("Who found it.")
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")


class AlertDeliveries(TableModel):
    """What has to be, or was, said of each alert to each channel."""

    alert_id: Series[str] = column("The alert.", str_matches=r"^a-[0-9a-f]{16}$")
    notice: Series[str] = column("`fired` or `resolved`.", isin=["fired", "resolved"])
    channel: Series[str] = column("Where to, without its secrets.", str_length={"min_value": 1})
    attempts: Series[np.int32] = column("How often it was tried, >= 0.", ge=0)
    next_attempt_at: Series[UtcTime] = column("Not to be tried before this time, UTC.")
    last_error: Series[str] = column("Why the last try failed; null where none did.", nullable=True)
    delivered_at: Series[UtcTime] = column("When it was said, UTC; null before.", nullable=True)
    video_id: Series[str] = column("The video concerned; null where it is about none.", nullable=True)
    created_at: Series[UtcTime] = column("When it was due first, UTC.")
    created_by: Series[str] = column("Who put it here.")
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")


class AlertSilences(TableModel):
    """What nobody wants to hear of for a time, and why."""

    silence_id: Series[str] = column("The silence's id.", str_matches=r"^s-[0-9a-f]{16}$")
    rule: Series[str] = column("Pattern of the rules, with `*`.", str_length={"min_value": 1})
    subject: Series[str] = column("Pattern of the subjects, with `*`.", str_length={"min_value": 1})
    reason: Series[str] = column("Why.", str_length={"min_value": 1})
    until: Series[UtcTime] = column("When it ends, UTC.")
    created_at: Series[UtcTime] = column("When it was made, UTC.")
    created_by: Series[str] = column("Who made it.")
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")
