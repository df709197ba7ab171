"""Tokens: a secret is shown once and kept as its hash; found while it holds, and never after."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bri_assets.errors import TokenNotFound, TokenRefused
from bri_assets.files import sha256_bytes
from bri_assets.settings import Settings
from bri_assets.store import Tokens
from bri_assets.store.access.operations import OPERATIONS
from bri_assets.store.access.wire import pack, signature_of, unpack
from bri_assets.store.tokens import Created, Scope, hash_of
from bri_assets_tests.bundles import operations


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return operations(Tokens, tmp_path)


def create(tokens: Tokens, name: str = "agent", scope: Scope = "read", expires_at: datetime | None = None) -> Created:
    return tokens.create(name, scope, expires_at, channel="cli")


def events(tokens: Tokens) -> list[tuple[str, str, str, str | None, dict[str, Any]]]:
    with tokens.file.open() as connection:
        found = connection.execute(
            "SELECT action, actor, entity_id, rows_sha256, detail FROM audit_log ORDER BY event_id"
        ).fetchall()
    return [
        (action, actor.split(":")[0], entity, sha256, json.loads(told)) for action, actor, entity, sha256, told in found
    ]


def test_a_secret_is_256_random_bits_and_finds_its_token(tokens: Tokens) -> None:
    made = create(tokens, scope="write")
    prefix, _, bits = made.secret.partition("_")
    assert prefix == "bri"
    assert len(base64.urlsafe_b64decode(bits + "=")) == 32
    assert hash_of(made.secret) == sha256_bytes(made.secret.encode())
    assert made.token.token_id == f"t-{hash_of(made.secret)[:16]}"
    assert (made.token.name, made.token.scope, made.token.expires_at) == ("agent", "write", None)
    assert tokens.find(hash_of(made.secret)) == made.token
    assert create(tokens, "another").secret != made.secret


def test_the_secret_is_in_no_file_and_no_representation(tokens: Tokens) -> None:
    made = create(tokens)
    assert made.secret not in repr(made)
    files = [path for path in tokens.home.rglob("*") if path.is_file()]
    assert Settings(home=tokens.home).journal_path in files
    assert not [path for path in files if made.secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("secret", ["", "bri_", "bri_x", "\ud800", "bri_" + "A" * 43])
def test_another_secret_finds_nothing(tokens: Tokens, secret: str) -> None:
    create(tokens)
    assert tokens.find(hash_of(secret)) is None


def test_only_the_whole_hash_finds_a_token(tokens: Tokens) -> None:
    sha256 = hash_of(create(tokens).secret)
    for wrong in (sha256[:16], sha256.upper(), f"{sha256} ", "%"):
        assert tokens.find(wrong) is None


def test_a_token_ends_when_it_was_said_to(tokens: Tokens) -> None:
    end = datetime.now(UTC) + timedelta(days=30)
    made = create(tokens, expires_at=end)
    assert made.token.expires_at == end
    sha256 = hash_of(made.secret)
    assert tokens.find(sha256, now=end - timedelta(microseconds=1)) == made.token
    assert tokens.find(sha256, now=end) is None
    assert not made.token.holds_at(end)


def test_a_revoked_token_is_found_no_more_and_stays_in_the_list(tokens: Tokens) -> None:
    made, other = create(tokens), create(tokens, "other")
    done = tokens.revoke("agent", channel="cli")
    assert done.revoked_at is not None
    assert tokens.find(hash_of(made.secret)) is None
    assert tokens.find(hash_of(other.secret)) == other.token
    assert tokens.tokens() == [other.token, done]
    # Once more is the same.
    assert tokens.revoke("agent", channel="cli") == done
    assert tokens.revoke(made.token.token_id, channel="cli") == done
    told = {"name": "agent"}
    assert [(action, entity, detail.items() >= told.items()) for action, _, entity, _, detail in events(tokens)] == [
        ("token.created", made.token.token_id, True),
        ("token.created", other.token.token_id, False),
        ("token.revoked", made.token.token_id, True),
    ]


def test_a_name_is_free_again_when_its_token_is_revoked(tokens: Tokens) -> None:
    first = create(tokens)
    with pytest.raises(TokenRefused, match="bri tokens revoke agent"):
        create(tokens)
    tokens.revoke("agent", channel="cli")
    second = create(tokens)
    assert tokens.find(hash_of(second.secret)) == second.token
    assert tokens.revoke("agent", channel="cli").token_id == second.token.token_id != first.token.token_id


def test_the_audit_log_says_what_a_replay_needs(tokens: Tokens) -> None:
    end = datetime.now(UTC) + timedelta(days=1)
    made = create(tokens, scope="admin", expires_at=end)
    ((action, actor, entity_id, sha256, detail),) = events(tokens)
    assert (action, actor, entity_id) == ("token.created", "cli", made.token.token_id)
    assert sha256 == hash_of(made.secret)
    assert detail == {
        "name": "agent",
        "scope": "admin",
        "expires_at": end.isoformat(),
        "at": made.token.created_at.isoformat(),
    }


@pytest.mark.parametrize("name", ["", "two words", "a/b", "a\n", "ä", "x" * 65, "\ud800"])
def test_a_name_that_is_none_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(TokenRefused, match="letters"):
        create(tokens, name)
    assert tokens.tokens() == []


def test_a_token_that_has_ended_or_is_for_nothing_is_not_made(tokens: Tokens) -> None:
    with pytest.raises(TokenRefused, match="time to come"):
        create(tokens, expires_at=datetime.now(UTC))
    with pytest.raises(TokenRefused, match="read, write, admin"):
        create(tokens, scope="everything")  # type: ignore[arg-type]
    assert tokens.tokens() == []
    assert events(tokens) == []


def test_what_was_never_there_cannot_be_revoked(tokens: Tokens) -> None:
    with pytest.raises(TokenNotFound, match="bri tokens list"):
        tokens.revoke("nobody", channel="cli")


def test_keeping_the_same_hash_twice_is_keeping_it_once(tokens: Tokens) -> None:
    """An owner that dies over it is asked again."""
    kept = [tokens.keep("agent", "a" * 64, "read", channel="cli") for _ in range(2)]
    assert kept[0] == kept[1]
    assert len(events(tokens)) == 1


def test_no_secret_travels_to_the_owner(tokens: Tokens) -> None:
    assert "Tokens.create" not in OPERATIONS
    signature = signature_of(OPERATIONS["Tokens.keep"])
    sent = signature.plain_arguments("agent", "a" * 64, "read", expires_at=None, channel="cli")
    made = OPERATIONS["Tokens.keep"](tokens, **signature.arguments(unpack(pack(sent))))
    assert signature.result(unpack(pack(signature.plain_result(made)))) == made
    found = signature_of(OPERATIONS["Tokens.find"])
    assert found.result(unpack(pack(found.plain_result(None)))) is None
