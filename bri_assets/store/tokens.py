"""Who may call the server: tokens are made, revoked and found by the hash of their secret.

A secret is 256 random bits, so its plain SHA-256 says nothing of it; it is shown to whoever made it and kept nowhere.
What does not belong here: what a scope allows, and how a caller shows a token (``serve``).
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from bri_assets.errors import TokenNotFound, TokenRefused
from bri_assets.files import sha256_bytes
from bri_assets.schemas.tokens import NAME
from bri_assets.store import audit
from bri_assets.store.access.operations import Operations, operation

__all__ = ["Created", "Scope", "Token", "Tokens", "hash_of", "keep", "revoke"]

#: What a token allows; each includes those before it.
Scope = Literal["read", "write", "admin"]

#: What a secret begins with, so that a person and a scanner of leaked secrets know one when they see it.
_PREFIX = "bri_"

_BYTES = 32

_COLUMNS = "token_id, name, scope, expires_at, revoked_at, created_at, created_by"


class Token(BaseModel):
    """A token, without its secret and its hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_id: str
    name: str = Field(description="Whose it is; it stands in the audit log.")
    scope: Scope = Field(description="What it allows: `write` includes `read`, `admin` both.")
    expires_at: datetime | None = Field(description="When it ends, UTC; null where it does not.")
    revoked_at: datetime | None = Field(description="When it was revoked, UTC; null while it is not.")
    created_at: datetime
    created_by: str

    def holds_at(self, when: datetime) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > when)


class Created(BaseModel):
    """A new token, and its secret, which is in no other place."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Token
    secret: str = Field(repr=False)


def hash_of(secret: str) -> str:
    """What is kept of a secret, and looked for: its SHA-256, 64 hex digits."""
    return sha256_bytes(secret.encode(errors="surrogatepass"))


class Tokens(Operations):
    """Operations on tokens; ``channel`` is the way in, for the audit log."""

    def create(self, name: str, scope: Scope, expires_at: datetime | None = None, *, channel: str) -> Created:
        """Make a token; its secret is made here, and the store never sees it.

        Raises:
            TokenRefused: see ``keep``.
        """
        secret = _PREFIX + secrets.token_urlsafe(_BYTES)
        token = self.keep(name, hash_of(secret), scope, expires_at=expires_at, channel=channel)
        return Created(token=token, secret=secret)

    @operation()
    def keep(self, name: str, sha256: str, scope: Scope, *, expires_at: datetime | None = None, channel: str) -> Token:
        """Keep the hash of a new token's secret; one that is kept already stays as it is.

        Args:
            name: 1 to 64 letters, digits, `.`, `_` and `-`; no token that is not revoked has it.
            sha256: as ``hash_of`` gives it.
            scope: what it allows.
            expires_at: when it ends, with a time zone; None for never.
            channel: the way in.

        Raises:
            TokenRefused: the name cannot be one, or is taken; or it would have ended already.
        """
        at = datetime.now(UTC)
        _require_sensible(name, scope, expires_at, at)
        with self.writing() as connection:
            if there := _found(connection, "sha256 = ?", sha256):
                return there[0]
            if _found(connection, "name = ? AND revoked_at IS NULL", name):
                remedy = f"Take another name, or `bri tokens revoke {name}` first."
                raise TokenRefused(name, "there is a token of this name.", remedy)
            who = audit.actor(channel)
            made = keep(connection, name, sha256, scope, expires_at=expires_at, who=who, at=at)
            detail = {"name": name, "scope": scope, "expires_at": expires_at and expires_at.isoformat()}
            _record(connection, "token.created", made.token_id, sha256, who, at, detail)
            return made

    @operation()
    def tokens(self) -> list[Token]:
        """Every token, also those that are revoked or over, the newest first."""
        with self.file.reading() as connection:
            return _found(connection, "true")

    @operation()
    def revoke(self, name: str, *, channel: str) -> Token:
        """Let nobody call with a token any more; one that is revoked already stays as it is.

        Args:
            name: the token's name, or its id.
            channel: the way in.

        Raises:
            TokenNotFound: there never was a token of that name.
        """
        at, who = datetime.now(UTC), audit.actor(channel)
        with self.writing() as connection:
            found = _found(connection, "name = $1 OR token_id = $1", name)
            if not found:
                raise TokenNotFound(name, "there is no such token.", "See `bri tokens list`.")
            token = next((one for one in found if one.revoked_at is None), found[0])
            if not revoke(connection, token.token_id, who=who, at=at):
                return token
            record_revoked(connection, token.token_id, token.name, who=who, at=at)
            return _found(connection, "token_id = ?", token.token_id)[0]

    @operation()
    def find(self, sha256: str, *, now: datetime | None = None) -> Token | None:
        """The token of a secret, by its hash; None where there is none, or it is revoked or over."""
        with self.file.reading() as connection:
            found = _found(connection, "sha256 = ?", sha256)
        return next((token for token in found if token.holds_at(now or datetime.now(UTC))), None)


def keep(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    sha256: str,
    scope: Scope,
    *,
    expires_at: datetime | None,
    who: str,
    at: datetime,
) -> Token:
    """Insert a token in the caller's transaction; one of that hash stays as it is."""
    connection.execute(
        """INSERT INTO tokens VALUES ($token_id, $name, $sha256, $scope, $expires_at, NULL, $at, $who, $at, $who)
           ON CONFLICT DO NOTHING""",
        {
            "token_id": f"t-{sha256[:16]}",
            "name": name,
            "sha256": sha256,
            "scope": scope,
            "expires_at": expires_at,
            "at": at,
            "who": who,
        },
    )
    return _found(connection, "sha256 = ?", sha256)[0]


def revoke(connection: duckdb.DuckDBPyConnection, token_id: str, *, who: str, at: datetime) -> bool:
    """Mark a token in the caller's transaction; returns whether it was not revoked yet."""
    changed = connection.execute(
        """UPDATE tokens SET revoked_at = $at, updated_at = $at, updated_by = $who
           WHERE token_id = $token_id AND revoked_at IS NULL RETURNING token_id""",
        {"token_id": token_id, "at": at, "who": who},
    ).fetchall()
    return bool(changed)


def record_revoked(connection: duckdb.DuckDBPyConnection, token_id: str, name: str, *, who: str, at: datetime) -> None:
    """Record that a token was revoked."""
    _record(connection, "token.revoked", token_id, None, who, at, {"name": name})


def _require_sensible(name: str, scope: str, expires_at: datetime | None, now: datetime) -> None:
    if not re.fullmatch(NAME, name) or name.endswith("\n"):
        what = "is no name of a token."
        raise TokenRefused(repr(name), what, "Take 1 to 64 letters, digits, `.`, `_` and `-`.")
    if scope not in get_args(Scope):
        raise TokenRefused(name, f"cannot be for {scope!r}.", f"Scopes are {', '.join(get_args(Scope))}.")
    if expires_at is not None and expires_at <= now:
        raise TokenRefused(name, f"would have ended on {expires_at:%Y-%m-%d %H:%M %Z}.", "Name a time to come.")


def _found(connection: duckdb.DuckDBPyConnection, where: str, *values: Any) -> list[Token]:
    query = f"SELECT {_COLUMNS} FROM tokens WHERE {where} ORDER BY created_at DESC, token_id"  # noqa: S608 - our own text
    names = _COLUMNS.split(", ")
    return [Token(**dict(zip(names, row, strict=True))) for row in connection.execute(query, list(values)).fetchall()]


def _record(
    connection: duckdb.DuckDBPyConnection,
    action: str,
    token_id: str,
    sha256: str | None,
    who: str,
    at: datetime,
    detail: dict[str, Any],
) -> None:
    audit.record(
        connection,
        who=who,
        action=action,
        entity="tokens",
        entity_id=token_id,
        rows_sha256=sha256,
        detail=detail | {"at": at.isoformat()},
    )
