"""What a message says: all that somebody needs who is woken by it, and of many alerts what can be read in a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bri_assets.alerts import compose
from bri_assets.alerts.messages import lasted
from bri_assets.store.outbox import Due

T = datetime(2026, 3, 1, 3, 7, tzinfo=UTC)
ORIGIN = "box, /data"


def alert(number: int = 1, **values: Any) -> Due:
    said: dict[str, Any] = {
        "alert_id": f"a-{number:016x}",
        "notice": "fired",
        "channel": "json-1",
        "attempts": 0,
        "rule": "disk_low",
        "subject": f"disk:/data{number}",
        "version": "",
        "severity": "ERROR",
        "summary": f"{number}.0 GB are left.",
        "remedy": f"Make room on disk {number}.",
        "fired_at": T,
        "resolved_at": None,
        "facts": {},
    }
    return Due(**said | values)


def test_a_message_about_one_alert_says_all_that_is_needed() -> None:
    message = compose([alert(facts={"free_gb": 1.0, "path": "/data"})], ORIGIN)
    assert message.title == "BRI ERROR disk_low: disk:/data1"
    assert message.kind == "ERROR"
    for part in (
        "1.0 GB are left.",
        "Next: Make room on disk 1.",
        "Since 2026-03-01 03:07 UTC, on box, /data.",
        "free_gb: 1.0",
        "path: /data",
        "a-0000000000000001",
        "A disk that BRI writes to is nearly full.",
        "There is space again.",
    ):
        assert part in message.body


def test_a_resolved_notice_says_how_long_it_lasted() -> None:
    message = compose([alert(notice="resolved", resolved_at=T + timedelta(minutes=75))], ORIGIN)
    assert message.title == "BRI resolved disk_low: disk:/data1"
    assert message.kind == "resolved"
    assert "It lasted 1 h 15 min, from 2026-03-01 03:07 UTC to 2026-03-01 04:22 UTC" in message.body
    assert "a-0000000000000001" in message.body


def test_what_was_over_before_it_could_be_sent_says_so() -> None:
    message = compose([alert(resolved_at=T + timedelta(minutes=5))], ORIGIN)
    assert "It was over at 2026-03-01 03:12 UTC, before this could be sent." in message.body


def test_many_are_grouped_by_rule_the_most_severe_first_each_with_its_id_and_command() -> None:
    bad = [alert(number) for number in range(3)]
    mild = [
        alert(number, rule="incomplete", severity="WARN", subject=f"video:v{number}", remedy="bri diagnose")
        for number in range(10, 19)
    ]
    message = compose([*mild, *bad], ORIGIN)
    assert message.title == "BRI: 12 alerts (3 ERROR, 9 WARN)"
    assert message.kind == "ERROR"
    lines = message.body.splitlines()
    assert lines[0] == "On box, /data. All of them: `bri alerts`."
    assert message.body.index("ERROR disk_low: 3 alerts.") < message.body.index("WARN incomplete: 9 alerts.")
    for one in bad:
        assert f"- {one.subject} ({one.alert_id}): {one.summary} Next: {one.remedy}" in lines
    assert lines.count("Next: bri diagnose") == 1, "what they have in common is said once"
    assert all(one.alert_id in message.body for one in mild)


def test_long_groups_are_cut_with_a_count() -> None:
    message = compose([alert(number, rule=rule) for rule in ("disk_low", "backlog") for number in range(100)], ORIGIN)
    assert message.title == "BRI: 200 alerts (200 ERROR)"
    assert message.body.count("… and 88 more: `bri alerts`") == 2
    assert len(message.body.splitlines()) < 45


def test_fired_and_resolved_together() -> None:
    over = alert(2, notice="resolved", resolved_at=T + timedelta(days=2))
    message = compose([alert(1), over, alert(3)], ORIGIN)
    assert message.title == "BRI: 2 alerts (2 ERROR), 1 resolved"
    assert "- disk:/data2 (a-0000000000000002), after 2 d" in message.body
    alone = compose([over, over], ORIGIN)
    assert (alone.title, alone.kind) == ("BRI: 2 resolved", "resolved")


def test_nothing_of_others_ends_a_line_of_the_title() -> None:
    message = compose([alert(subject="file:/a\r\nBcc: all@example.org\x1b[2J")], ORIGIN)
    assert message.title.isprintable()
    assert "\n" not in message.title


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=45), "45 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(hours=3, minutes=5), "3 h 5 min"),
        (timedelta(days=2, hours=4), "2 d 4 h"),
    ],
)
def test_a_span_is_said_as_a_person_says_it(span: timedelta, said: str) -> None:
    assert lasted(span) == said
