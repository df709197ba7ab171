"""What was said between users and the agent: ``memory``."""

from __future__ import annotations

import numpy as np
from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column

__all__ = ["CONVERSATION_ID", "MOST_CHARACTERS", "TURN_ID", "Memory"]

#: What the ids of conversations and of turns look like; callers may make them.
CONVERSATION_ID = TURN_ID = r"^[A-Za-z0-9._:-]{1,100}$"

#: Of one message.
MOST_CHARACTERS = 100_000


class Memory(TableModel):
    """The agent's conversations, two rows a turn: what the user said, and what the assistant answered.

    No foreign key leads to `videos`, so that a turn may outlive what it was about: a deleted video's messages stay in
    their conversations, and reads by video do not show them; a purge removes them.
    """

    message_id: Series[np.int64] = column("Number of the message, growing.", ge=1)
    turn_id: Series[str] = column(
        "The turn that it belongs to; the same turn is never added twice.", str_matches=TURN_ID
    )
    conversation_id: Series[str] = column("The conversation.", str_matches=CONVERSATION_ID)
    video_id: Series[str] = column("The video that the turn is about; null where it is about none.", nullable=True)
    role: Series[str] = column("Who says it.", isin=["user", "assistant"])
    content: Series[str] = column(
        "What is said.", str_contains=r"\S", str_length={"min_value": 1, "max_value": MOST_CHARACTERS}
    )
    created_at: Series[UtcTime] = column("When it was added, UTC.")
    created_by: Series[str] = column("Who added it.")
