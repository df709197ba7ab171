"""Routes of the agent's memory: turns of conversations are added, read again, and forgotten.

What does not belong here: how long they are kept (``store.memory``, the scheduled purge).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, Field

from bri_assets.schemas.memory import CONVERSATION_ID, MOST_CHARACTERS, TURN_ID
from bri_assets.serve.api.answering import VIDEO_ID, VIDEO_PATH, Asked
from bri_assets.serve.api.auth import Reader, Writer
from bri_assets.serve.api.work import run
from bri_assets.serve.services import Services
from bri_assets.store.memory import Message, MessagePage, PageWanted, Thread, Turn

__all__ = ["NewTurn", "router"]

ConversationId = Annotated[
    str, Path(pattern=CONVERSATION_ID, description="The conversation; callers choose it.", examples=["chat-17"])
]
MessageId = Annotated[int, Path(ge=1, le=2**63 - 1, description="Number of the message.", examples=[1])]
AboutVideo = Annotated[VIDEO_ID | None, Query(description="Only what is about this video.")]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("it is blank")
    return text


Content = Annotated[
    str,
    Field(min_length=1, max_length=MOST_CHARACTERS, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_not_blank),
]


class NewTurn(Asked):
    """What a user said and what the assistant answered: both are kept, or none."""

    user: Content = Field(description="What the user said, not blank.", examples=["When is the cat on screen?"])
    assistant: Content = Field(description="What the assistant answered, not blank.", examples=["From 8 s to 16 s."])
    video_id: VIDEO_ID | None = Field(None, description="The video that it is about, if it is about one.")
    turn_id: str | None = Field(
        None, pattern=TURN_ID, description="Names the turn, so that sending it twice is adding it once."
    )


class Part(Asked):
    """Which of the messages are wanted."""

    last: int | None = Field(None, ge=1, le=500, description="Only so many, the last ones; then no page is read.")
    limit: int = Field(50, ge=1, le=500, description="Most messages on a page.")
    cursor: str | None = Field(None, max_length=2000, description="`next_cursor` of the page before.")


class Which(Part):
    """Which messages of a conversation are wanted."""

    video_id: VIDEO_ID | None = Field(None, description="Only what is about this video.")


class Counted(Asked):
    """How many messages there are."""

    messages: int = Field(ge=0)


class Wiped(Asked):
    """How many messages there were."""

    wiped: int = Field(ge=0)


def router(services: Services) -> APIRouter:
    """The routes."""
    made = APIRouter(prefix="/v1", tags=["memory"])
    _add_turns(made, services)
    _add_reads(made, services)
    _add_wipes(made, services)
    return made


def _add_turns(made: APIRouter, services: Services) -> None:
    @made.post("/conversations/{conversation_id}/turns", operation_id="add_turn", status_code=201)
    async def add(conversation_id: ConversationId, said: NewTurn, caller: Writer) -> list[Message]:
        """Remember what a user said and what was answered; a turn that is there already stays as it is."""
        turn = Turn(conversation_id=conversation_id, **said.model_dump(exclude_none=True))
        return await run(services, services.memory.add, turn, channel=caller.channel)


def _add_reads(made: APIRouter, services: Services) -> None:
    @made.get("/conversations/{conversation_id}/messages", operation_id="list_messages")
    async def of_conversation(
        conversation_id: ConversationId, asked: Annotated[Which, Query()], _caller: Reader
    ) -> MessagePage:
        """Messages of a conversation, oldest first: the last ones, or page by page from the beginning."""
        return await run(
            services, _page, services, Thread(conversation_id=conversation_id, video_id=asked.video_id), asked
        )

    @made.get("/videos/{video_id}/messages", operation_id="list_messages_about_video")
    async def about_video(video_id: VIDEO_PATH, asked: Annotated[Part, Query()], _caller: Reader) -> MessagePage:
        """Messages about a video from all conversations, oldest first: the last ones, or page by page."""
        return await run(services, _page, services, Thread(video_id=video_id), asked)

    @made.get("/conversations/{conversation_id}/messages/count", operation_id="count_messages")
    async def count(conversation_id: ConversationId, _caller: Reader, video_id: AboutVideo = None) -> Counted:
        """How many messages a conversation has; one that nobody began has none."""
        return Counted(messages=await run(services, services.memory.count, conversation_id, video_id))

    @made.get("/videos/{video_id}/messages/count", operation_id="count_messages_about_video")
    async def count_about(video_id: VIDEO_PATH, _caller: Reader) -> Counted:
        """How many messages are about a video."""
        return Counted(messages=await run(services, services.memory.count, None, video_id))

    @made.get("/messages/{message_id}", operation_id="get_message")
    async def message(message_id: MessageId, _caller: Reader) -> Message:
        """One message by its number."""
        return await run(services, services.memory.message, message_id)


def _add_wipes(made: APIRouter, services: Services) -> None:
    @made.delete("/conversations/{conversation_id}/messages", operation_id="wipe_conversation")
    async def conversation(conversation_id: ConversationId, caller: Writer, video_id: AboutVideo = None) -> Wiped:
        """Forget a conversation, or what was said about a video in it."""
        wiped = await run(services, services.memory.wipe, conversation_id, video_id, channel=caller.channel)
        return Wiped(wiped=wiped)

    @made.delete("/videos/{video_id}/messages", operation_id="wipe_messages_about_video")
    async def video(video_id: VIDEO_PATH, caller: Writer) -> Wiped:
        """Forget all that was said about a video, in every conversation; the video may be deleted already."""
        return Wiped(wiped=await run(services, services.memory.wipe, None, video_id, channel=caller.channel))


def _page(services: Services, thread: Thread, part: Part) -> MessagePage:
    if part.last is not None:
        return MessagePage(items=services.memory.latest([thread], part.last)[0], next_cursor=None)
    wanted = PageWanted(**thread.model_dump(), limit=part.limit, cursor=part.cursor)
    return services.memory.pages([wanted])[0]
