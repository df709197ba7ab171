"""`bri alerts`: what is wrong, silences, trying out and sending by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bri_assets.alerts import Messenger
from bri_assets.commands.alerts import app
from bri_assets.errors import SilenceNotFound
from bri_assets.findings import Finding
from bri_assets.settings import Settings
from bri_assets.store.outbox import Outbox
from bri_assets_tests.bundles import operations
from bri_assets_tests.unit.alerts.receivers import Webhook, free_port

DISK = Finding("disk_low", "disk:/[b]data", "1.0 GB are left.", "Make room.")


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook(free_port()).serving() as hook:
        yield hook


@pytest.fixture
def outbox(tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """One that `bri` finds."""
    monkeypatch.setenv("BRI_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("BRI_ALERT_URLS", hook.url)
    monkeypatch.setenv("COLUMNS", "200")
    return operations(Outbox, tmp_path)


def bri(*arguments: str, exits: int = 0) -> str:
    done: Result = CliRunner().invoke(app, ["alerts", *arguments])
    assert done.exit_code == exits, (done.output, done.exception)
    return done.output


def sync(outbox: Outbox, *findings: Finding) -> None:
    labels = Messenger.of(Settings()).labels
    outbox.sync(list(findings), ["disk_low"], channels=labels, channel="test")


def listed(*arguments: str) -> Any:
    return json.loads(bri("--json", *arguments))


def test_what_is_wrong_is_listed_with_what_to_do_and_who_heard(outbox: Outbox, hook: Webhook) -> None:
    assert "Nothing is wrong" in bri()
    assert listed() == []
    sync(outbox, DISK)
    shown = bri()
    for part in ("disk_low disk:/[b]data, ERROR for 0 s", "1.0 GB are left.", "next: Make room.", "is due"):
        assert part in shown
    assert bri("deliver") == "1 notice(s) in 1 message(s) sent.\n"
    assert hook.titles == ["BRI ERROR disk_low: disk:/[b]data"]
    (alert,) = listed()
    assert (alert["alert_id"], alert["subject"], alert["resolved_at"]) == (DISK.alert_id(1), DISK.subject, None)
    assert [one["delivered_at"] is not None for one in alert["deliveries"]] == [True]
    sync(outbox)
    assert listed() == []
    assert [alert["resolved_at"] is not None for alert in listed("--all")] == [True]
    assert "resolved after" in bri("--all")


def test_what_cannot_be_delivered_is_said(outbox: Outbox, hook: Webhook) -> None:
    hook.status = 500
    sync(outbox, DISK)
    assert "error=500" in bri("deliver", exits=1)
    assert "failed 1 time(s)" in bri()


def test_a_silence_is_made_listed_and_ended(outbox: Outbox) -> None:
    made = bri("silence", "disk_*", "*", "--for", "2h", "--reason", "a new disk is coming")
    (one,) = json.loads(bri("silences", "--json"))
    assert one["silence_id"] in made
    assert (one["rule"], one["subject"], one["reason"]) == ("disk_*", "*", "a new disk is coming")
    left = datetime.fromisoformat(one["until"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=50) < left <= timedelta(hours=2)
    sync(outbox, DISK)
    assert "silenced until" in bri()
    assert bri("deliver") == "0 notice(s) in 0 message(s) sent.\n"
    bri("unsilence", one["silence_id"])
    assert json.loads(bri("silences", "--json")) == []
    assert "a new disk" in bri("silences", "--all")
    assert bri("deliver") == "1 notice(s) in 1 message(s) sent.\n"
    failed = CliRunner().invoke(app, ["alerts", "unsilence", "s-0"])
    assert isinstance(failed.exception, SilenceNotFound)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("disk_lwo", "*", "--for", "2h", "--reason", "x"), "the rules are"),
        (("disk_low", "*", "--for", "soon", "--reason", "x"), "as `30m`"),
        (("disk_low", "*", "--for", "0h", "--reason", "x"), "as `30m`"),
        (("disk_low", "*", "--for", "2h", "--reason", " "), "say why"),
    ],
)
def test_a_silence_that_means_nothing_is_wrong_usage(outbox: Outbox, arguments: tuple[str, ...], said: str) -> None:
    assert said in bri("silence", *arguments, exits=2)


def test_every_url_is_tried(outbox: Outbox, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "arrived URL 1, json-" in bri("test")
    assert hook.titles == ["BRI test"]
    urls = f"{Webhook(free_port()).url} bogus://a-long-secret {hook.url}"
    monkeypatch.setenv("BRI_ALERT_URLS", urls)
    shown = bri("test", exits=1)
    assert "failed URL 1, json-" in shown
    assert "URL 2 (bogus://…) is none" in shown
    assert "arrived URL 3, json-" in shown
    assert "secret" not in shown
    tried = json.loads(bri("test", "--json", exits=1))
    assert [(one["url"], one["arrived"]) for one in tried] == [(None, False), (1, False), (3, True)]
    monkeypatch.setenv("BRI_ALERT_URLS", "")
    assert "names no place" in bri("test", exits=2)
    assert "Nobody is told" in bri()
    assert listed() == []
