"""``bri tokens``: who may call the server.

What does not belong here: what a scope allows (``serve``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from bri_assets.commands.options import Json, span
from bri_assets.display import plain, print_json
from bri_assets.session import open_session
from bri_assets.store import Tokens
from bri_assets.store.deletion import minute
from bri_assets.store.tokens import Scope, Token

__all__ = ["app"]

app = typer.Typer()
tokens = typer.Typer(help="Who may call the server.", no_args_is_help=True)
app.add_typer(tokens, name="tokens")


@tokens.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is; it stands in the audit log.")],
    scope: Annotated[
        Scope, typer.Option(help="What it allows; write includes read, admin includes both.", show_default=False)
    ],
    expires: Annotated[str | None, typer.Option(help="When it ends: `12h`, `30d`; default: never.")] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print its secret, this once."""
    expires_at = None if expires is None else datetime.now(UTC) + span(expires, "--expires")
    session = open_session()
    made = Tokens.of(session.settings).create(name, scope, expires_at, channel="cli")
    if as_json:
        print_json(made.model_dump())
        return
    session.console.print(made.secret, soft_wrap=True, highlight=False)
    session.console.print("That is the secret. It is shown this once and kept nowhere: put it where it belongs now.")
    session.console.print(f"{plain(made.token.name)} may {_allowed(made.token)} {_until(made.token)}.", soft_wrap=True)


@tokens.command("list")
def show(as_json: Json = False) -> None:
    """Every token, the newest first; secrets are kept nowhere."""
    session = open_session()
    found = Tokens.of(session.settings).tokens()
    if as_json:
        print_json([one.model_dump() for one in found])
        return
    table = Table("token", "name", "scope", "state", "made", "by")
    for one in found:
        words = (one.name, one.scope, _state(one), minute(one.created_at), one.created_by)
        table.add_row(one.token_id, *map(plain, words))
    session.console.print(table)


@tokens.command()
def revoke(name: Annotated[str, typer.Argument(help="The token's name, or its id.")]) -> None:
    """Let nobody call with a token any more."""
    session = open_session()
    done = Tokens.of(session.settings).revoke(name, channel="cli")
    session.console.print(f"{plain(done.name)} ({done.token_id}) is {_state(done)}.", soft_wrap=True)


def _allowed(token: Token) -> str:
    return {"read": "read", "write": "read and write", "admin": "do everything"}[token.scope]


def _until(token: Token) -> str:
    return "until it is revoked" if token.expires_at is None else f"until {minute(token.expires_at)}"


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked since {minute(token.revoked_at)}"
    return f"valid {_until(token)}" if token.holds_at(datetime.now(UTC)) else f"over since {_until(token)[6:]}"
