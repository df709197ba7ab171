"""What a message says: for somebody who is woken by it, on a telephone, and knows nothing yet.

What does not belong here: which alerts are due (``store.outbox``) and how they travel (``channels``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from bri_assets.findings import RULES
from bri_assets.store.deletion import minute
from bri_assets.store.outbox import Due

__all__ = ["Message", "compose", "lasted"]

#: What can be read in a minute: alerts of one rule, lines of alerts in all, facts of one alert.
_MOST_OF_A_RULE = 12
_MOST_LINES = 40
_MOST_FACTS = 8
_LONGEST_FACT = 200
_LONGEST_LINE = 160


@dataclass(frozen=True)
class Message:
    """What is sent.

    Args:
        title: one line.
        body: plain text.
        kind: ``ERROR``, ``WARN`` or ``resolved``: how it is to look.
    """

    title: str
    body: str
    kind: str


def compose(due: Sequence[Due], origin: str) -> Message:
    """The one message that says all of this.

    Args:
        due: at least one.
        origin: whose alerts they are: which machine, which BRI_HOME.
    """
    if len(due) > 1:
        return _several(due, origin)
    (one,) = due
    return _resolved(one, origin) if one.notice == "resolved" else _fired(one, origin)


def lasted(span: timedelta) -> str:
    """A span of time as a person says it: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    seconds = max(0, int(span.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"
    if hours:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{minutes} min" if minutes else f"{seconds} s"


def _fired(one: Due, origin: str) -> Message:
    parts = [one.summary, f"Next: {one.remedy}"]
    since = f"Since {minute(one.fired_at)}, on {origin}."
    if one.resolved_at is not None:
        since += f" It was over at {minute(one.resolved_at)}, before this could be sent."
    facts = [f"{name}: {_fact(value)}" for name, value in sorted(one.facts.items())]
    parts += ["\n".join([since, *_cut(facts, _MOST_FACTS)]), _end(one)]
    title = f"BRI {one.severity} {one.rule}: {one.subject}"
    return Message(_line(title), "\n\n".join(parts), one.severity)


def _resolved(one: Due, origin: str) -> Message:
    over = one.resolved_at or one.fired_at
    title = f"BRI resolved {one.rule}: {one.subject}"
    told = f"It is over. It lasted {lasted(over - one.fired_at)}, from {minute(one.fired_at)} to {minute(over)}"
    return Message(_line(title), f"{told}, on {origin}.\n\nIt was: {one.summary}\n\n{_end(one)}", "resolved")


def _end(one: Due) -> str:
    rule = RULES.get(one.rule)
    meaning = f" {rule.meaning} It goes away like this: {rule.resolved}" if rule and one.notice == "fired" else ""
    return f"Alert {one.alert_id}, rule {one.rule}.{meaning}"


def _several(due: Sequence[Due], origin: str) -> Message:
    fired = [one for one in due if one.notice == "fired"]
    resolved = [one for one in due if one.notice == "resolved"]
    severities = [f"{count} {name}" for name in ("ERROR", "WARN") if (count := _count(fired, name))]
    counts = [f"{_alerts(len(fired))} ({', '.join(severities)})"] if fired else []
    counts += [f"{len(resolved)} resolved"] if resolved else []
    parts = [f"On {origin}. All of them: `bri alerts`."]
    room = _MOST_LINES
    for severity, rule, group in _by_rule(fired):
        parts.append(_group(f"{severity} {rule}: {_alerts(len(group))}. {_meaning(rule)}", group, room))
        room -= min(len(group), _MOST_OF_A_RULE, room)
    for _, rule, group in _by_rule(resolved):
        parts.append(_group(f"Resolved, {rule}: {_alerts(len(group))}.", group, room))
        room -= min(len(group), _MOST_OF_A_RULE, room)
    kind = fired[0].severity if len(severities) == 1 else "ERROR" if fired else "resolved"
    return Message(_line(f"BRI: {', '.join(counts)}"), "\n\n".join(parts), kind)


def _by_rule(due: Iterable[Due]) -> list[tuple[str, str, list[Due]]]:
    """Groups of one severity and rule, the most severe first, then the largest."""

    def of(one: Due) -> tuple[str, str]:
        return one.severity, one.rule

    groups = [(*key, list(group)) for key, group in groupby(sorted(due, key=of), key=of)]
    return sorted(groups, key=lambda group: (group[0], -len(group[2]), group[1]))


def _group(head: str, group: list[Due], room: int) -> str:
    """Alerts of one rule: what they have in common is said once."""
    fired = group[0].notice == "fired"
    remedies = {one.remedy for one in group}
    lines = [head]
    if fired and len(remedies) == 1:
        lines.append(_line(f"Next: {group[0].remedy}"))
    each = []
    for one in sorted(group, key=lambda one: (one.fired_at, one.subject)):
        if fired:
            next_step = f" Next: {one.remedy}" if len(remedies) > 1 else ""
            each.append(f"- {one.subject} ({one.alert_id}): {_short(one.summary, _LONGEST_LINE)}{next_step}")
        else:
            span = (one.resolved_at or one.fired_at) - one.fired_at
            each.append(f"- {one.subject} ({one.alert_id}), after {lasted(span)}")
    return "\n".join(lines + _cut([_line(line) for line in each], min(_MOST_OF_A_RULE, room)))


def _cut(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    return [*lines[:most], f"… and {len(lines) - most} more: `bri alerts`"]


def _meaning(rule: str) -> str:
    return RULES[rule].meaning if rule in RULES else ""


def _count(due: Iterable[Due], severity: str) -> int:
    return sum(one.severity == severity for one in due)


def _alerts(count: int) -> str:
    return "1 alert" if count == 1 else f"{count} alerts"


def _fact(value: object) -> str:
    return _short(_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)), _LONGEST_FACT)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _line(text: str) -> str:
    """Text of others (a file's name) as one line: nothing that would end a header or move a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
