"""The official client against the real thing: `bri serve` over streamable HTTP, and `bri mcp` over stdio."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import psutil
import pytest
from jsonschema import validate
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ImageContent, TextContent

from bri_assets.files import sha256_bytes
from bri_assets.store import Store
from bri_assets.store.tokens import Tokens
from bri_assets_tests.bundles import operations, rows, stage
from bri_assets_tests.commands import ROOT, Bri
from bri_assets_tests.pictures import difference, with_pictures

PATIENCE_S = 60.0

#: One call of each tool, in an order in which each can succeed.
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list_videos", {}),
    ("describe_video", {"video": "holiday.mp4"}),
    ("look_at_time", {"video": "holi", "at_s": 4.2, "with_image": True}),
    ("find_objects", {"class_name": ["dog", "horse"]}),
    ("search", {"text": "words", "mode": "keyword"}),
    ("read_rows", {"video": "holi", "table": "segments"}),
    ("show_frame", {"video": "holi", "frame_index": 3}),
    ("count_rows", {}),
    ("remember", {"conversation_id": "c", "user": "When?", "assistant": "0:04", "turn_id": "t-1"}),
    ("recall", {}),
    ("forget", {"conversation_id": "c"}),
]


@dataclass(frozen=True)
class Served:
    """A real `bri serve`.

    Args:
        bri: its home.
        url: of its MCP endpoint.
        process: the supervisor.
    """

    bri: Bri
    url: str
    process: subprocess.Popen[bytes]

    @property
    def owner(self) -> psutil.Process:
        """The process that answers."""
        return until(lambda: psutil.Process(self.process.pid).children())[0]


def until(found: Any) -> Any:
    """What a function gives once it gives something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (one := found()):
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.05)
    return one


def filled(home: Path) -> Bri:
    """A home with one video of 8 s and real pictures."""
    tables = with_pictures(home, rows(home, frames=4, sha256=sha256_bytes(b"holiday")))
    operations(Store, home).commit(stage(home, tables), run_id="run-1", channel="test")
    return Bri(home, {"BRI_SERVE_PORT": str(_free_port()), "BRI_REDIS_URL": ""} | {"OMP_NUM_THREADS": "1"})


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(bri: Bri, **settings: str) -> Iterator[Served]:
    environment = bri.environment | settings
    address = f"http://127.0.0.1:{environment['BRI_SERVE_PORT']}"
    with (bri.home / "serve.log").open("wb") as log:
        process = subprocess.Popen([*bri.command, "serve"], env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is not None or _lives(address))
        assert process.poll() is None, (bri.home / "serve.log").read_text()
        yield Served(bri, f"{address}/mcp", process)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _lives(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live", timeout=5).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(filled(tmp_path_factory.mktemp("served"))) as found:
        yield found


@asynccontextmanager
async def client_with(url: str, token: str | None = None, *, mode: str = "auto") -> AsyncIterator[Client]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def stdio(bri: Bri) -> StdioServerParameters:
    command, *arguments = [*bri.command, "mcp"]
    return StdioServerParameters(command=command, args=arguments, env=bri.environment, cwd=str(ROOT))


def text_of(found: CallToolResult) -> str:
    return "\n".join(one.text for one in found.content if isinstance(one, TextContent))


async def call_everything(client: Client) -> dict[str, CallToolResult]:
    """Call each tool; every answer holds against the schema that the server lists, by a validator of our own."""
    schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
    assert set(schemas) == {name for name, _ in CALLS}
    found = {}
    for name, arguments in CALLS:
        answer = found[name] = await client.call_tool(name, arguments)
        assert not answer.is_error, text_of(answer)
        validate(answer.structured_content, schemas[name])
        assert text_of(answer)
    return found


def check(found: dict[str, CallToolResult]) -> None:
    """What the answers must say of the video in the home."""
    [entry] = found["list_videos"].structured_content["items"]
    assert entry["filename"] == "holiday.mp4"
    [moment] = found["look_at_time"].structured_content["moments"]
    assert moment["nearest"]["evidence"]["frame_index"] == 2
    assert _difference(found["look_at_time"], 2) < 12
    assert _difference(found["show_frame"], 3) < 12
    [together] = found["find_objects"].structured_content["videos"]
    assert [(one["start_s"], one["end_s"]) for one in together["intervals"]] == [(0.0, 8.0)]
    [answer] = found["search"].structured_content["answers"]
    assert {one["text"] for one in answer["hits"]} == {"words 0", "words 1", "words 2"}
    assert [one["content"] for one in found["recall"].structured_content["messages"]] == ["When?", "0:04"]
    assert found["forget"].structured_content["messages"] == 2


def _difference(found: CallToolResult, frame_index: int) -> int:
    [image] = [one for one in found.content if isinstance(one, ImageContent)]
    assert image.mime_type == "image/jpeg"
    return difference(base64.b64decode(image.data), frame_index)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_every_tool_answers_over_http(served: Served, mode: str) -> None:
    async def asked() -> dict[str, CallToolResult]:
        async with client_with(served.url, mode=mode) as client:
            assert client.instructions is not None
            return await call_everything(client)

    check(anyio.run(asked))


def test_writes_over_http_are_audited_with_the_callers_name(served: Served) -> None:
    async def kept() -> CallToolResult:
        async with client_with(served.url) as client:
            return await client.call_tool("remember", {"conversation_id": "a", "user": "q", "assistant": "a"})

    assert not anyio.run(kept).is_error

    async def recalled() -> CallToolResult:
        async with client_with(served.url) as client:
            return await client.call_tool("recall", {"conversation_id": "a"})

    messages = anyio.run(recalled).structured_content["messages"]
    assert {one["created_by"].partition(":")[0] for one in messages} == {"api/anonymous"}


def test_an_owner_that_is_killed_between_two_calls_costs_its_client_nothing_but_time(served: Served) -> None:
    async def again(client: Client) -> CallToolResult:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return await client.call_tool("look_at_time", {"video": "holiday.mp4", "at_s": 4})
            except (MCPError, httpx2.TransportError):
                # The kept connection of the dead process: the next attempt makes a new one.
                assert time.monotonic() < deadline

    async def asked() -> None:
        async with client_with(served.url) as client:
            first, killed = await again(client), served.owner
            killed.send_signal(signal.SIGKILL)
            killed.wait(PATIENCE_S)
            assert (await again(client)).structured_content == first.structured_content
            assert served.owner.pid != killed.pid

    anyio.run(asked)


def test_a_client_is_told_what_is_wrong_over_http_too(served: Served) -> None:
    async def asked() -> CallToolResult:
        async with client_with(served.url) as client:
            return await client.call_tool("describe_video", {"video": "hollyday.mp4"})

    found = anyio.run(asked)
    assert found.is_error
    assert "holiday.mp4" in text_of(found)
    assert "Traceback" not in text_of(found)


def test_tools_that_write_need_the_scope(tmp_path: Path) -> None:
    bri = filled(tmp_path)
    tokens = operations(Tokens, tmp_path)
    reader = tokens.create("reader", "read", channel="test").secret
    writer = tokens.create("writer", "write", channel="test").secret
    turn = {"conversation_id": "c", "user": "When?", "assistant": "0:04"}

    async def asked(url: str) -> None:
        async with client_with(url, reader) as client:
            assert not (await client.call_tool("list_videos", {})).is_error
            for tool, arguments in (("remember", turn), ("forget", {"conversation_id": "c"})):
                refused = await client.call_tool(tool, arguments)
                assert refused.is_error
                assert "needs the scope write" in text_of(refused)
        async with client_with(url, writer) as client:
            assert not (await client.call_tool("remember", turn)).is_error
            kept = (await client.call_tool("recall", {})).structured_content["messages"]
            assert {one["created_by"].partition(":")[0] for one in kept} == {"api/writer"}

    with serving(bri, BRI_SERVE_AUTH="on") as served:
        anyio.run(asked, served.url)
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        accepts = {"Accept": "application/json, text/event-stream"}
        assert httpx.post(served.url, json=body, headers=accepts).status_code == 401
        wrong = accepts | {"Authorization": "Bearer bri_wrong"}
        assert httpx.post(served.url, json=body, headers=wrong).status_code == 401
        assert httpx.get(served.url, headers=accepts | {"Authorization": f"Bearer {reader}"}).status_code == 405


def test_every_tool_answers_over_stdio_without_a_server(tmp_path: Path) -> None:
    bri = filled(tmp_path)

    async def asked() -> dict[str, CallToolResult]:
        async with Client(stdio(bri)) as client:
            found = await call_everything(client)
            wrong = await client.call_tool("describe_video", {"video": "hollyday.mp4"})
            assert wrong.is_error
            assert "holiday.mp4" in text_of(wrong)
            return found

    found = anyio.run(asked)
    check(found)
    authors = {one["created_by"].partition(":")[0] for one in found["recall"].structured_content["messages"]}
    assert authors == {"mcp"}


def test_every_tool_answers_over_stdio_beside_a_server_and_after_it_is_gone(tmp_path: Path) -> None:
    bri = filled(tmp_path)

    async def asked() -> None:
        async with Client(stdio(bri)) as client:
            with serving(bri):
                check(await call_everything(client))
            check(await call_everything(client))

    anyio.run(asked)


def test_stdout_is_the_protocols_alone_and_the_process_ends_with_its_input(tmp_path: Path) -> None:
    bri = filled(tmp_path)
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    search = {"name": "search", "arguments": {"text": "words"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": search},
    ]
    with subprocess.Popen(
        [*bri.command, "mcp"],
        env=bri.environment | {"BRI_LOG_LEVEL": "debug"},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers = []
        for message in asked:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            if "id" in message:
                answers.append(json.loads(process.stdout.readline()))
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    assert [one["id"] for one in answers] == [1, 2]
    assert not answers[1]["result"].get("isError"), answers[1]
    assert rest == ""


def test_wrong_settings_are_told_on_stderr_and_nothing_on_stdout(tmp_path: Path) -> None:
    environment = Bri(tmp_path).environment | {"BRI_READ_CURSORS": "none"}
    done = subprocess.run(
        [*Bri(tmp_path).command, "mcp"],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "BRI_READ_CURSORS" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    bri = filled(tmp_path)
    with subprocess.Popen(
        [*bri.command, "mcp"],
        env=bri.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_S) == -signal.SIGINT
