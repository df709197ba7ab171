"""Servers on loopback that alerts are sent to: HTTP and SMTP, that take, refuse, hang, go away and come back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

__all__ = ["Mailbox", "Webhook", "free_port", "silent"]


@dataclass
class Webhook:
    """A web hook: what it was sent, each with its ``title`` and ``message``, and with which status it answers."""

    port: int
    status: int = 200
    taken: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        """For apprise."""
        return f"json://127.0.0.1:{self.port}/hooks/a-long-secret"

    @property
    def titles(self) -> list[str]:
        """Of what it took."""
        return [one["title"] for one in self.taken]

    @contextmanager
    def serving(self) -> Iterator[Webhook]:
        """It listens in the block, and is away outside of it."""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status == 200:
                    hook.taken.append(json.loads(body))
                else:
                    hook.refused += 1
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests look at what was taken."""

        with ThreadingHTTPServer(("127.0.0.1", self.port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


@dataclass
class Mailbox:
    """A mail server: what it took, as subject and text, and whether it refuses."""

    port: int
    refuses: bool = False
    taken: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """For apprise."""
        return f"mailto://127.0.0.1:{self.port}/ops@example.org?from=bri@example.org&format=text"

    async def handle_RCPT(self, _server: SMTP, _session: object, envelope: Any, address: str, _: object) -> str:  # noqa: N802 - its name
        """As aiosmtpd calls it."""
        if self.refuses:
            return "550 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Any) -> str:  # noqa: N802 - its name
        """As aiosmtpd calls it."""
        found = message_from_bytes(envelope.content, policy=policy.default)
        body = found.get_body(("plain",))
        assert body is not None
        self.taken.append((str(found["subject"]), body.get_content()))
        return "250 OK"

    @contextmanager
    def serving(self) -> Iterator[Mailbox]:
        """It listens in the block, and is away outside of it."""
        controller = Controller(self, hostname="127.0.0.1", port=self.port)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


@contextmanager
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
