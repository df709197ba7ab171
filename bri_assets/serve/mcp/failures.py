"""What an agent is told when a call fails: what happened and what to do next, and nothing of the server's inside.

What does not belong here: when something is an error.
"""

from __future__ import annotations

from pathlib import PurePath

from pydantic import ValidationError

from bri_assets import telemetry
from bri_assets.errors import BriError, ImageDamaged
from bri_assets.serve.api.problems import status_of

__all__ = ["said", "said_of_arguments"]

log = telemetry.logger(__name__)

_SERVERS = {
    503: "The server cannot do this now. Try again in a moment; if it stays so, tell the person who runs it.",
    504: "This took longer than a read may take, and was stopped. Ask for less: one video, a shorter stretch.",
}
_OTHER = "Something went wrong in the server. Tell the person who runs it; its log says what."


def said(error: BriError, *, inside: bool) -> str:
    """An error of ours for an agent.

    Args:
        error: what was raised.
        inside: the caller is the user of this system, who may see paths; else the server's own troubles stay in its
            log.
    """
    status = status_of(error)
    if status < 500 or isinstance(error, ImageDamaged) or inside:
        # A path of the server's own is nobody's business; the name of the file is what the caller knows.
        outside = not inside and PurePath(error.subject).is_absolute()
        subject = PurePath(error.subject).name if outside else error.subject
        return " ".join(part for part in (f"{subject}: {error.what}", error.remedy) if part)
    log.error("a tool failed", error=type(error).__name__, what=None if error.quotes else str(error))
    return _SERVERS.get(status, _OTHER)


def said_of_arguments(tool: str, error: ValidationError) -> str:
    """What is wrong with the arguments of a call, one line each, without their values."""
    problems: dict[str, list[str]] = {}
    for one in error.errors(include_input=False, include_url=False)[:20]:
        # Behind the argument's name pydantic names which of its types it tried.
        problems.setdefault(str(one["loc"][0]) if one["loc"] else "all together", []).append(one["msg"])
    lines = [f"  {name}: {', or: '.join(dict.fromkeys(said))}" for name, said in problems.items()]
    return "\n".join([f"The arguments of {tool} cannot be:", *lines, "See the tool's input schema."])
