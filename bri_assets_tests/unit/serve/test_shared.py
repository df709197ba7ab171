"""Answers that servers share in a real Redis, and whatever may ail that one: the answers stay right."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from bri_assets.serve.answers.cache import Answers
from bri_assets.serve.answers.questions import CAPTIONS, FACTS
from bri_assets.serve.answers.shared import Shared
from bri_assets.settings import Settings
from bri_assets.store.history import History
from bri_assets.store.queries.model import Range
from bri_assets_tests.redis_server import RedisServer, redis_server
from bri_assets_tests.unit.serve.caching import Kept, id_of, keeping

ONE, TWO = id_of("one"), id_of("two")
WHOLE = [Range(video_id=ONE)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """A Redis that works and is empty; not to be killed."""
    running.client.flushall()
    return running


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with redis_server(tmp_path / "redis") as made:
        yield made


@contextmanager
def two_servers(home: Path, url: str) -> Iterator[tuple[Kept, Answers]]:
    """A store with two videos, and answers of two servers of it that share a Redis."""
    with keeping(home, redis_url=SecretStr(url), redis_timeout_s=1.0) as kept:
        kept.commit("one")
        kept.commit("two")
        second = kept.another()
        yield kept, second
        second.close()


def test_what_one_server_answered_another_has_from_redis(tmp_path: Path, server: RedisServer) -> None:
    with two_servers(tmp_path / "data", server.url) as (kept, second):
        first = kept.answers.ask(CAPTIONS, WHOLE)
        other = second.ask(CAPTIONS, WHOLE)
        assert (first.level, other.level) == ("store", "redis")
        assert first.bodies == other.bodies == kept.uncached(CAPTIONS, WHOLE)
        assert second.ask(CAPTIONS, WHOLE).level == "process"
        kept.commit("one", " again")
        assert second.ask(CAPTIONS, WHOLE).value.items[0].text == "a picture 0 again"
        kept.of(History).rollback(ONE, 1, channel="test")
        assert kept.another().ask(CAPTIONS, WHOLE).bodies == first.bodies
        assert second.redis == "closed"


def test_redis_keeps_them_for_no_longer_than_they_may_be_kept(tmp_path: Path, server: RedisServer) -> None:
    with keeping(tmp_path / "data", redis_url=SecretStr(server.url), cache_ttl_s=60) as kept:
        kept.commit("one")
        kept.answers.ask(FACTS, [ONE])
        keys = server.client.keys()
        assert len(keys) == 1
        assert 0 < server.client.pttl(keys[0]) <= 60_000


def test_two_stores_never_share_an_answer(tmp_path: Path, server: RedisServer) -> None:
    """Ids of videos and versions are the same in both; what they say is not."""
    url = SecretStr(server.url)
    with keeping(tmp_path / "a", redis_url=url) as one, keeping(tmp_path / "b", redis_url=url) as other:
        for kept, text in ((one, " of one"), (other, " of another")):
            kept.commit("one", text)
        for kept, text in ((one, " of one"), (other, " of another"), (one, " of one")):
            page = kept.another().ask(CAPTIONS, WHOLE).value
            assert [caption.text for caption in page.items] == [f"a picture {index}{text}" for index in range(4)]


@pytest.mark.parametrize("wrong", ["garbled", "cut", "empty", "of another key", "of another type", "gone"])
def test_what_others_put_there_is_not_answered(tmp_path: Path, server: RedisServer, wrong: str) -> None:
    with two_servers(tmp_path / "data", server.url) as (kept, second):
        kept.answers.ask(FACTS, [TWO])
        (of_two,) = server.client.keys()
        right = kept.answers.ask(FACTS, [ONE])
        (key,) = set(server.client.keys()) - {of_two}
        value = server.client.get(key)
        match wrong:
            case "garbled":
                server.client.set(key, value[:40] + b"?" + value[41:])
            case "cut":
                server.client.set(key, value[:-1])
            case "empty":
                server.client.set(key, b"")
            case "of another key":
                server.client.set(key, server.client.get(of_two))
            case "of another type":
                server.client.delete(key)
                server.client.lpush(key, value)
            case _:
                server.client.flushall()
        found = second.ask(FACTS, [ONE])
        assert (found.level, found.bodies) == ("store", right.bodies)


def test_what_is_forgotten_is_gone_from_redis(tmp_path: Path, server: RedisServer) -> None:
    with two_servers(tmp_path / "data", server.url) as (kept, second):
        for index in range(30):
            kept.answers.ask(CAPTIONS, [Range(video_id=ONE, from_s=index / 10)])
        kept.answers.ask(FACTS, [TWO])
        kept.answers.forget(ONE)
        assert len(server.client.keys()) == 1
        assert second.ask(CAPTIONS, WHOLE).level == "store"
        assert second.ask(FACTS, [TWO]).level == "redis"


def test_a_redis_that_dies_is_left_alone_and_found_again(tmp_path: Path, mortal: RedisServer) -> None:
    with keeping(tmp_path / "data", redis_url=SecretStr(mortal.url)) as kept:
        kept.commit("one")
        answers, second = patient(kept, pause_s=0.2), patient(kept, pause_s=0.2)
        right = answers.ask(CAPTIONS, WHOLE).bodies
        mortal.kill()
        assert second.ask(CAPTIONS, WHOLE).bodies == right
        assert second.redis == "open"
        assert second.ask(FACTS, [ONE]).bodies == kept.uncached(FACTS, [ONE])
        answers.forget(ONE)
        mortal.start()
        until = time.monotonic() + 20
        while second.redis != "closed":
            assert time.monotonic() < until
            # Another question each time: one that is in memory asks nobody.
            second.ask(CAPTIONS, [Range(video_id=ONE, to_s=7.9, limit=1 + int(time.monotonic() * 1000) % 500)])
            time.sleep(0.02)
        second.ask(CAPTIONS, [Range(video_id=ONE, limit=3)])
        assert patient(kept, pause_s=0.2).ask(CAPTIONS, [Range(video_id=ONE, limit=3)]).level == "redis"


def test_a_redis_that_hangs_costs_one_wait(tmp_path: Path, mortal: RedisServer) -> None:
    with keeping(tmp_path / "data", redis_url=SecretStr(mortal.url)) as kept:
        kept.commit("one")
        kept.answers.ask(FACTS, [ONE])
        second = patient(kept, pause_s=600)
        mortal.hang()
        for limit in range(1, 20):
            asked = [Range(video_id=ONE, limit=limit)]
            found = second.ask(CAPTIONS, asked)
            assert (found.level, found.bodies) == ("store", kept.uncached(CAPTIONS, asked))
            assert second.redis == "open"


def test_one_that_takes_connections_and_says_nothing_is_asked_once(tmp_path: Path) -> None:
    with keeping(tmp_path / "data") as kept, silence() as (port, taken):
        kept.commit("one")
        answers = patient(kept, pause_s=600, url=f"redis://127.0.0.1:{port}/0")
        for limit in range(1, 20):
            assert answers.ask(CAPTIONS, [Range(video_id=ONE, limit=limit)]).level == "store"
        assert len(taken) == 1


def test_one_that_speaks_another_language_is_left_alone(tmp_path: Path) -> None:
    with keeping(tmp_path / "data") as kept, silence(says=b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, taken):
        kept.commit("one")
        answers = patient(kept, pause_s=600, url=f"redis://127.0.0.1:{port}/0")
        for limit in range(1, 5):
            asked = [Range(video_id=ONE, limit=limit)]
            assert answers.ask(CAPTIONS, asked).bodies == kept.uncached(CAPTIONS, asked)
        assert answers.redis == "open"
        assert len(taken) == 1


def test_where_nobody_listens_answers_come_from_the_store(tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unheard.getsockname()[1]}/0"
        with keeping(tmp_path / "data", redis_url=SecretStr(url)) as kept:
            kept.commit("one")
            assert kept.answers.ask(FACTS, [ONE]).level == "store"
            assert kept.answers.redis == "open"
            assert kept.answers.ask(FACTS, [ONE]).level == "process"


def test_an_address_that_is_none_is_refused_at_once() -> None:
    for wrong in ("http://127.0.0.1:6379", "nonsense", "redis://"):
        with pytest.raises(ValidationError, match="redis_url"):
            Settings(redis_url=SecretStr(wrong))
    assert Settings(redis_url=SecretStr("")).redis_url is None


def patient(kept: Kept, pause_s: float, url: str | None = None) -> Answers:
    """Answers of another server, which leaves a Redis that fails alone for so long."""
    settings: Settings = kept.settings
    if url is not None:
        settings = settings.model_copy(update={"redis_url": SecretStr(url)})
    made = kept.another(redis_url=None)
    shared = Shared.of(settings)
    assert shared is not None
    made._shared = Shared(shared._client, settings.cache_ttl_s, pause_s)
    return made


@contextmanager
def silence(says: bytes = b"") -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that takes connections, and what was taken; each is told the same, whatever it asks."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                taken.append(connection)
                if says:
                    connection.sendall(says)

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield listener.getsockname()[1], taken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()
