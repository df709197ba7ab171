"""Channels: URLs are told apart, named without their secrets, and what goes wrong is said without them too."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from bri_assets.alerts import Message, Messenger, backoff, channels_of
from bri_assets.errors import DeliveryFailed
from bri_assets.settings import Settings
from bri_assets_tests.unit.alerts.receivers import Mailbox, Webhook, free_port, silent

MESSAGE = Message("BRI ERROR disk_low: disk:/data", "One.\n\n<b>Two</b> & *three*, Größe: 3 µm…", "ERROR")
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops"


def failure(urls: str, timeout_s: float = 0.3) -> str:
    ((channel,), wrong) = channels_of(urls, timeout_s)
    assert wrong == []
    with pytest.raises(DeliveryFailed) as found:
        channel.send(MESSAGE)
    return str(found.value)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that reaches the root logger; pytest's own capture also listens where nobody else hears."""
    said, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(said), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield said
    root.removeHandler(handler)
    root.setLevel(level)


def test_urls_are_parted_by_spaces_or_commas_and_keep_their_own_commas() -> None:
    urls = f"json://127.0.0.1:1/a,b {SLACK},mailto://127.0.0.1:25/a@example.org,b@example.org?from=c@example.org\n"
    channels, wrong = channels_of(urls, 1)
    assert wrong == []
    assert [channel.label.split("-")[0] for channel in channels] == ["json", "slack", "mailto"]
    assert [channel.position for channel in channels] == [1, 2, 3]


def test_labels_stay_are_different_and_hold_no_secret() -> None:
    urls = [
        "json://user:pass-word@example.org/x",
        "json://example.org/x",
        "mailto://example.org/a@example.org?from=c@example.org",
        "mailto://example.org/b@example.org?from=c@example.org",
        SLACK,
    ]
    channels, _ = channels_of(" ".join(urls), 1)
    labels = [channel.label for channel in channels]
    assert len(set(labels)) == len(urls)
    assert [channel.label for channel in channels_of(" ".join(reversed(urls)), 9)[0]] == labels[::-1]
    changed, _ = channels_of("json://user:another-one@example.org/x", 1)
    assert changed[0].label == labels[0], "a new password is no new place"
    twice, _ = channels_of(f"{SLACK} {SLACK}", 1)
    assert [channel.label for channel in twice] == [labels[-1], f"{labels[-1]}-2"]
    assert "pass-word" not in repr(channels)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in repr(channels)


def test_a_wrong_url_is_named_by_its_place_and_not_shown(log: io.StringIO) -> None:
    channels, wrong = channels_of(f"bogus://top-secret/x json:// {SLACK} json://a b-secret", 1)
    assert [channel.position for channel in channels] == [3]
    assert [str(error).split(" is none")[0] for error in wrong] == [
        "BRI_ALERT_URLS: URL 1 (bogus://…)",
        "BRI_ALERT_URLS: URL 2",
        "BRI_ALERT_URLS: URL 4",
    ]
    assert "secret" not in log.getvalue() + "".join(map(str, wrong))


def test_no_urls_are_no_channels() -> None:
    messenger = Messenger.of(Settings(alert_urls=None))
    assert (messenger.channels, messenger.wrong) == ((), ())


def test_a_message_arrives_as_it_is_by_http_and_by_mail() -> None:
    with Webhook(free_port()).serving() as hook, Mailbox(free_port()).serving() as box:
        for channel in channels_of(f"{hook.url} {box.url}", 5)[0]:
            channel.send(MESSAGE)
    assert [(one["title"], one["message"], one["type"]) for one in hook.taken] == [
        (MESSAGE.title, MESSAGE.body, "failure")
    ]
    ((subject, text),) = box.taken
    assert (subject, text.replace("\r\n", "\n").strip()) == (MESSAGE.title, MESSAGE.body)


def test_a_server_that_refuses_is_quoted() -> None:
    with Webhook(free_port(), status=500).serving() as hook, Mailbox(free_port(), refuses=True).serving() as box:
        assert "error=500" in failure(hook.url)
        assert "550" in failure(box.url, 5)
    assert hook.refused == 1
    assert box.taken == []


@pytest.mark.parametrize("kind", [Webhook, Mailbox])
def test_a_server_that_is_away_is_told_from_one_that_never_answers(kind: type[Webhook] | type[Mailbox]) -> None:
    assert "refused" in failure(kind(free_port()).url)
    with silent() as port:
        assert "timed out" in failure(kind(port).url)


def test_why_it_failed_is_said_without_secrets(log: io.StringIO) -> None:
    port = free_port()
    said = failure(f"json://user:pass-word@127.0.0.1:{port}/hooks/a-long-secret?-token=another%20secret")
    assert "refused" in said
    for secret in ("pass-word", "a-long-secret", "another", "secret"):
        assert secret not in said + log.getvalue()


def test_the_time_to_the_next_try_doubles_up_to_minutes() -> None:
    spans = [[backoff(attempts).total_seconds() for _ in range(20)] for attempts in (1, 2, 3, 4, 5, 1000)]
    for most, found in zip((30, 60, 120, 240, 300, 300), spans, strict=True):
        assert all(0.75 * most <= seconds <= most for seconds in found)
        assert len(set(found)) > 1
