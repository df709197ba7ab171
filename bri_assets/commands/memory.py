"""``bri memory``: what was said between users and the agent, and having it forgotten.

What does not belong here: adding to it, which is the agent's (``serve``).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bri_assets.commands.options import Json, span
from bri_assets.display import plain, print_json
from bri_assets.session import Session, open_session
from bri_assets.store import Memory
from bri_assets.store.deletion import Deletion, minute

__all__ = ["app"]

app = typer.Typer()
memory = typer.Typer(help="The agent's conversations.", no_args_is_help=True)
app.add_typer(memory, name="memory")

_Conversation = Annotated[str | None, typer.Argument(help="The conversation.")]
_Video = Annotated[str | None, typer.Option("--video", help="What was said about a video: id, its beginning, or file.")]


@memory.command()
def show(
    conversation: _Conversation = None,
    video: _Video = None,
    last: Annotated[int, typer.Option(min=1, max=500, help="Most messages, counted from the last.")] = 20,
    as_json: Json = False,
) -> None:
    """The last messages of a conversation, or about a video, or of all, oldest first."""
    session = open_session()
    found = Memory.of(session.settings).last(conversation, _video_id(session, video), last)
    if as_json:
        print_json([message.model_dump() for message in found])
        return
    for message in found:
        about = f", about {plain(message.video_id)}" if message.video_id else ""
        head = f"{message.role}[/], {minute(message.created_at)}, in {plain(message.conversation_id)}{about}"
        session.console.print(f"[bold]{head}", soft_wrap=True)
        session.console.print(f"  {plain(message.content)}", soft_wrap=True)
    if not found:
        session.console.print("Nothing was said.")


@memory.command()
def count(conversation: _Conversation = None, video: _Video = None, as_json: Json = False) -> None:
    """How many messages there are."""
    session = open_session()
    found = Memory.of(session.settings).count(conversation, _video_id(session, video))
    if as_json:
        print_json({"messages": found})
    else:
        session.console.print(f"{found} message(s)")


@memory.command()
def wipe(
    conversation: _Conversation = None,
    video: _Video = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Everything that was said longer ago: `90d`, `12h`.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget a conversation, what was said about a video, or what was said long ago. It cannot be undone."""
    named = conversation is not None or video is not None
    if named is (older_than is not None):
        raise typer.BadParameter("name a conversation or a --video, or say --older-than")
    age = None if older_than is None else span(older_than, "--older-than")
    session = open_session()
    video_id = _video_id(session, video)
    if not yes:
        _ask(" and ".join(filter(None, (conversation, video_id, older_than and f"older than {older_than}"))))
    remembered = Memory.of(session.settings)
    if age is None:
        wiped = remembered.wipe(conversation, video_id, channel="cli")
    else:
        wiped = remembered.expire(age.total_seconds() / 86_400, channel="cli")
    if as_json:
        print_json({"wiped": wiped})
    else:
        session.console.print(f"{wiped} message(s) are forgotten. Backups hold them until they expire.")


def _video_id(session: Session, video: str | None) -> str | None:
    return None if video is None else Deletion.of(session.settings).find(video)


def _ask(what: str) -> None:
    """Ask on a terminal whether this is meant.

    Raises:
        typer.BadParameter: there is no terminal to ask on.
        typer.Exit: 1 where the answer is no.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"this would forget {what} for good; say --yes where nobody can be asked")
    if not typer.confirm(f"Forget {what} for good? This cannot be undone.", err=True):
        raise typer.Exit(1)
