"""`bri tokens`: the secret is printed once, and what is listed says who may still call."""

from __future__ import annotations

from pathlib import Path

import pytest

from bri_assets.settings import Settings
from bri_assets.store import Tokens
from bri_assets.store.tokens import hash_of
from bri_assets_tests.commands import Bri


@pytest.fixture
def bri(tmp_path: Path) -> Bri:
    return Bri(tmp_path / "data")


def test_a_secret_is_printed_once_and_finds_its_token(bri: Bri) -> None:
    secret, *said = bri("tokens", "create", "agent", "--scope", "write", "--expires", "30d").splitlines()
    assert "shown this once" in said[0]
    assert "agent may read and write until" in said[1]
    found = Tokens.of(Settings(home=bri.home)).find(hash_of(secret))
    assert found is not None
    assert (found.name, found.scope) == ("agent", "write")
    assert found.expires_at is not None
    assert (found.expires_at - found.created_at).days in (29, 30)

    made = bri.json("tokens", "create", "reader", "--scope", "read")
    assert hash_of(made["secret"])[:16] in made["token"]["token_id"]

    bri("tokens", "revoke", "agent")
    listed = bri("tokens", "list")
    assert secret not in listed
    assert "revoked since" in listed
    assert [(row["name"], row["revoked_at"] is None) for row in bri.json("tokens", "list")] == [
        ("reader", True),
        ("agent", False),
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("create", "two words", "--scope", "read"), 1, "no name of a token"),
        (("create", "agent"), 2, "--scope"),
        (("create", "agent", "--scope", "all"), 2, "'admin'"),
        (("create", "agent", "--scope", "read", "--expires", "soon"), 2, "30m"),
        (("revoke", "nobody"), 1, "there is no such token"),
    ],
)
def test_what_is_wrong_is_said(bri: Bri, arguments: tuple[str, ...], status: int, said: str) -> None:
    assert said in bri("tokens", *arguments, exits=status)
