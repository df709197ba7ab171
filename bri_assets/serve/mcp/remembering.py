"""Tools for what was said in earlier conversations: kept in pairs, recalled, forgotten.

Docstrings of tools are what an agent reads. What does not belong here: what is known of videos.
"""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from bri_assets.errors import RangeWrong, VideoNotFound
from bri_assets.schemas.memory import CONVERSATION_ID, MOST_CHARACTERS, TURN_ID
from bri_assets.serve.mcp.arguments import Cursor, VideoName
from bri_assets.serve.mcp.callers import channel
from bri_assets.serve.mcp.desk import Desk, answer
from bri_assets.serve.mcp.model import Forgotten, MessageShown, Recalled, Remembered
from bri_assets.serve.mcp.text import lines, taken
from bri_assets.store.messages import Message, Turn

__all__ = ["RememberingTools"]

#: Most characters of a message's content, in a list and alone.
_IN_A_LIST, _ALONE = 1_200, 6_000

Conversation = Annotated[
    str, Field(pattern=CONVERSATION_ID, description="Your name for the conversation: letters, digits and `._:-`.")
]
Content = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]


class RememberingTools:
    """The tools, at a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._memory = desk.services.memory

    def remember(
        self,
        conversation_id: Conversation,
        user: Annotated[Content, Field(description="What the user said.")],
        assistant: Annotated[Content, Field(description="What you answered.")],
        video: Annotated[VideoName | None, Field(description="The video that it was about, if about one.")] = None,
        turn_id: Annotated[
            str | None,
            Field(pattern=TURN_ID, description="Your name for this turn: giving the same turn again keeps it once."),
        ] = None,
    ) -> Annotated[CallToolResult, Remembered]:
        """Keep a question and its answer, so that `recall` finds them in later conversations. Needs the scope write.

        Both are kept or neither. Give a turn_id where you may have to repeat the call. Example:
        remember(conversation_id="c1", user="When is the dog seen?", assistant="0:12–0:31", video="tour.mp4").
        """
        video_id = None if video is None else self._desk.videos(video, most=1)[0]
        named = {} if turn_id is None else {"turn_id": turn_id}
        turn = Turn(conversation_id=conversation_id, user=user, assistant=assistant, video_id=video_id, **named)
        kept = self._memory.add(turn, channel=channel())
        numbers = [message.message_id for message in kept]
        found = Remembered(turn_id=turn.turn_id, message_ids=numbers, note=None)
        return answer(found, f"Kept as turn {turn.turn_id}: messages {numbers[0]} and {numbers[1]}.")

    def recall(
        self,
        conversation_id: Annotated[Conversation | None, Field(description="Only this conversation.")] = None,
        video: Annotated[VideoName | None, Field(description="Only what was said about this video.")] = None,
        last: Annotated[int, Field(ge=1, le=100, description="Most messages; two are one turn.")] = 20,
        from_start: Annotated[bool, Field(description="Begin with the oldest and not with the newest ones.")] = False,
        cursor: Cursor = None,
        message_id: Annotated[int | None, Field(ge=1, description="Only this message, at its full length.")] = None,
        from_character: Annotated[int, Field(ge=0, description="`next_character` of the answer before.")] = 0,
    ) -> Annotated[CallToolResult, Recalled]:
        """Read what was asked and answered before ("what did I ask?"): the last messages, the oldest of them first.

        Without arguments it gives the last messages of all conversations. To read everything begin with from_start=true
        and go on with `next_cursor`; a long message is cut, message_id gives all of it. It is what was said, and no
        evidence of what is in a video. Example: recall(video="tour.mp4", last=10).
        """
        if message_id is not None:
            return self._one(message_id, from_character)
        video_id = None if video is None else self._desk.videos(video, most=1)[0]
        if from_start or cursor is not None:
            return self._page(conversation_id, video_id, last, cursor)
        total = self._memory.count(conversation_id, video_id)
        newest = [_shown(one) for one in reversed(self._memory.last(conversation_id, video_id, last))]
        fit = taken(newest, _line)[::-1]
        earlier = total - len(fit)
        note = f"{earlier} earlier messages: from_start=true begins with the oldest." if earlier else ""
        return _recalled(fit, total, None, note)

    def forget(
        self,
        conversation_id: Annotated[Conversation | None, Field(description="All of this conversation.")] = None,
        video: Annotated[
            VideoName | None, Field(description="All that was said about this video, in that conversation if named.")
        ] = None,
    ) -> Annotated[CallToolResult, Forgotten]:
        """Delete remembered messages for good, only when the user asks for it. Needs the scope write.

        Name a conversation, a video, or both for what was said about the video in that conversation. No video and none
        of its data is touched. Example: forget(conversation_id="c1").
        """
        if conversation_id is None and video is None:
            raise RangeWrong("forget", "neither a conversation nor a video is named.", "Name what is to be forgotten.")
        number = self._wiped(conversation_id, video)
        return answer(Forgotten(messages=number, note=None), f"{number} messages are forgotten.")

    def _wiped(self, conversation_id: str | None, video: str | None) -> int:
        if video is None:
            return self._memory.wipe(conversation_id, None, channel=channel())
        try:
            [video_id] = self._desk.videos(video, most=1)
        except VideoNotFound:
            # What was said about a video that is deleted can be forgotten too, by its id.
            if number := self._memory.wipe(conversation_id, video, channel=channel()):
                return number
            raise
        return self._memory.wipe(conversation_id, video_id, channel=channel())

    def _one(self, message_id: int, from_character: int) -> CallToolResult:
        shown = _shown(self._memory.message(message_id), from_character, _ALONE)
        return _recalled([shown], None, None, "")

    def _page(
        self, conversation_id: str | None, video_id: str | None, limit: int, cursor: str | None
    ) -> CallToolResult:
        page = self._memory.page(conversation_id, video_id, limit, cursor)
        fit = taken([_shown(one) for one in page.items], _line)
        if len(fit) < len(page.items):
            # Its cursor leads past what is left out; that of a shorter page does not.
            page = self._memory.page(conversation_id, video_id, len(fit), cursor)
        total = self._memory.count(conversation_id, video_id)
        note = f'Later messages: cursor="{page.next_cursor}".' if page.next_cursor else ""
        return _recalled(fit, total, page.next_cursor, note)


def _recalled(messages: list[MessageShown], total: int | None, cursor: str | None, note: str) -> CallToolResult:
    cut = [one for one in messages if one.next_character is not None]
    notes = [note] if note else []
    notes += [f"More of it: message_id={one.message_id}, from_character={one.next_character}." for one in cut[:1]]
    said = " ".join(notes)
    found = Recalled(messages=messages, total=total, next_cursor=cursor, note=said or None)
    return answer(found, lines(map(_line, messages) if messages else "Nothing was said.", said))


def _shown(message: Message, begin: int = 0, most: int = _IN_A_LIST) -> MessageShown:
    whole, end = message.content, begin + most
    return MessageShown(
        **message.model_dump(exclude={"content"}),
        content=whole[begin:end],
        characters=len(whole),
        next_character=end if end < len(whole) else None,
    )


def _line(message: MessageShown) -> str:
    about = f" about {message.video_id}" if message.video_id else ""
    cut = " …" if message.next_character is not None else ""
    when = f"{message.created_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"[{message.message_id}] {when}, conversation {message.conversation_id}{about}, "
        f"{message.role}: {message.content}{cut}"
    )
