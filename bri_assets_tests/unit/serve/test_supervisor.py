"""Owners that follow one another, and where the API cannot listen."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from bri_assets.commands.serve import beside_another
from bri_assets.errors import AddressUnusable
from bri_assets.serve.supervisor import listening, supervised
from bri_assets.session import Session
from bri_assets.settings import Settings
from bri_assets.store import StoreFile
from bri_assets.store.tokens import Tokens

PATIENCE_S = 120.0


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_new_owner_follows_the_old_one_and_one_that_cannot_start_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRI_HOME", str(tmp_path))
    file, said = StoreFile.of(Settings(home=tmp_path)), list[str]()
    with supervised(said.append) as replace:
        until(file.owner)
        first = _owner()

        monkeypatch.setenv("BRI_READ_CURSORS", "many")
        replace()
        assert said == ["a new owner of the store cannot start (status 1); the old one goes on"]
        assert _owner() == first
        assert file.owner() is not None

        monkeypatch.delenv("BRI_READ_CURSORS")
        replace()
        until(lambda: not psutil.pid_exists(first.pid))
        until(file.owner)
        second = _owner()
        assert second != first
        assert len(said) == 1

        second.kill()
        until(lambda: len(said) == 2)
        until(file.owner)
        assert said[1].startswith("the owner of the store ended with status -9; it is started again in ")
        third = _owner()
    assert not third.is_running()
    assert file.owner() is None


def test_connections_wait_in_the_queue_while_nobody_answers() -> None:
    with listening("127.0.0.1", 0) as listener:
        clients = [socket.create_connection(listener.getsockname(), timeout=5) for _ in range(200)]
        for client in clients:
            client.close()


def test_a_place_where_nobody_can_listen() -> None:
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(AddressUnusable, match=f"127.0.0.1 port {port}: .*in use"), listening("127.0.0.1", port):
            pass
    with pytest.raises(AddressUnusable, match=r"no-such-host\.invalid"), listening("no-such-host.invalid", 0):
        pass
    with listening("localhost", 0) as listener:
        assert listener.getsockname()[0] in ("127.0.0.1", "::1")


def test_beside_the_ui_the_store_is_owned_whether_the_api_can_be_had_or_not(tmp_path: Path) -> None:
    with listening("127.0.0.1", 0) as listener:
        taken = Settings(home=tmp_path, serve_port=listener.getsockname()[1])
        assert _beside(taken) == (["--store-only"], True)
    assert _beside(taken) == ([], False)
    network = Settings(home=tmp_path, serve_host="0.0.0.0", serve_port=taken.serve_port)
    assert _beside(network) == (["--store-only"], True)
    Tokens.of(network).create("me", "read", channel="test")
    assert _beside(network) == ([], False)
    Tokens.of(network).revoke("me", channel="test")
    assert _beside(network) == (["--store-only"], True)


def _beside(settings: Settings) -> tuple[list[str], bool]:
    """The arguments, and whether it was said that there is no API."""
    told = io.StringIO()
    return beside_another(Session(settings, Console(file=told))), "There is no API beside this" in told.getvalue()


def _owner() -> psutil.Process:
    (found,) = [one for one in psutil.Process().children() if "bri_assets.serve.owner" in one.cmdline()]
    return found
