"""What is sent to do harm: none of it reads another file, changes another row, or ends in an error of the server's."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bri_assets.files import sha256_bytes
from bri_assets.store import Store
from bri_assets.store.memory import Memory, Turn
from bri_assets_tests.apis import Api, api, listening
from bri_assets_tests.bundles import operations, rows, stage

HOLIDAY = "holiday-000000000001"

#: What lies beside the store, and must never come out.
SECRET = "the secret of the house"

PATHS = [
    "../secret.txt",
    "..%2fsecret.txt",
    "..%252fsecret.txt",
    "%2e%2e%2f%2e%2e%2fsecret.txt",
    "....//secret.txt",
    "..\\secret.txt",
    "..%5csecret.txt",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "..%c0%afsecret.txt",
    f"{HOLIDAY}/../../secret.txt",
    f"{HOLIDAY}%00",
    f"{HOLIDAY}%0a",
    f"{HOLIDAY}%00.jpg",
    f"{HOLIDAY}' OR '1'='1",
    f"{HOLIDAY}'; DROP TABLE videos; --",
    f"{HOLIDAY}%27%3b%20DELETE%20FROM%20frames%3b--",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "*",
    "%",
    "_",
    "%ff%fe",
    "%F0%9F%92%A9",
    "%ED%A0%80",
    "a" * 4000,
]

TEXTS = [
    "' OR 1=1 --",
    "'; DROP TABLE videos; --",
    '") UNION SELECT secret FROM tokens --',
    "%",
    "_",
    "\\",
    "\x00",
    "a\x00b",
    "\r\nSet-Cookie: a=b",
    "\u202e\u0000\ufeff",
    "ﷺ" * 100,
    "e" + "\u0301" * 400,
    "💩" * 100,
    '"unclosed phrase',
    "AND OR NOT NEAR( * ^ ~",
    "(" * 400,
    "[" * 400,
    "$" * 400,
    "-1",
    "NaN",
    "${7*7}",
    "<script>alert(1)</script>",
    "read_csv('/etc/passwd')",
]

NUMBERS = [
    "NaN",
    "inf",
    "-inf",
    "1e309",
    "-1",
    "-0.0000001",
    "1e308",
    "9" * 400,
    "0x10",
    "1_000",
    "",
    " ",
    "１",
    "null",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("hostile") / "data"
    tables = rows(home, frames=4, video_id=HOLIDAY, sha256=sha256_bytes(b"holiday"))
    operations(Store, home).commit(stage(home, tables), run_id="run-1", channel="test")
    operations(Memory, home).add(Turn(conversation_id="c", user="what?", assistant="that"), channel="test")
    for path in (home / "secret.txt", home.parent / "secret.txt", home / "frames" / "secret.txt"):
        path.write_text(SECRET)
    with api(home) as found:
        yield found


@pytest.fixture(autouse=True)
def unharmed(made: Api) -> Iterator[None]:
    """After each test everything is there as it was."""
    yield
    facts = made.get(f"/videos/{HOLIDAY}")
    assert (facts["frames"], facts["detections"]) == (4, 8)
    assert made.get("/conversations/c/messages/count") == {"messages": 2}


def told(made: Api, method: str, path: str, **sent: object) -> int:
    """The status of an answer, which must hold no secret and be no error of the server's."""
    found = made.client.request(method, path, **sent)  # type: ignore[arg-type]
    assert found.status_code < 500, (path, found.text)
    assert SECRET not in found.text
    assert "root:" not in found.text
    assert "set-cookie" not in found.headers
    if found.status_code >= 400:
        assert found.headers["content-type"] == "application/problem+json", (path, found.text)
    return found.status_code


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_lead_elsewhere(made: Api, path: str) -> None:
    for method, route in (
        ("GET", "/v1/videos/{}"),
        ("GET", "/v1/videos/{}/frames/0/image"),
        ("GET", f"/v1/videos/{HOLIDAY}/frames/{{}}/image"),
        ("GET", "/v1/videos/{}/timeline"),
        ("GET", "/v1/messages/{}"),
        ("GET", "/v1/conversations/{}/messages/count"),
        ("DELETE", "/v1/videos/{}/messages"),
        ("GET", "/{}"),
    ):
        status = told(made, method, route.format(path))
        # A name that is allowed for a conversation is one that nobody began; `..` may lead to another route.
        assert status >= 400 or "conversations" in route or ".." in path, (route, status)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_would_be_more(made: Api, text: str) -> None:
    for path, name in (
        ("/v1/videos/resolve", "name"),
        ("/v1/videos", "text"),
        ("/v1/videos", "class_name"),
        ("/v1/videos", "cursor"),
        ("/v1/search", "text"),
        ("/v1/objects", "class_name"),
        (f"/v1/videos/{HOLIDAY}/detections", "class_name"),
        (f"/v1/videos/{HOLIDAY}/captions", "cursor"),
        ("/v1/conversations/c/messages", "cursor"),
        ("/v1/conversations/c/messages", "video_id"),
    ):
        told(made, "GET", path, params={name: text})
    for mode in ("keyword", "semantic", "hybrid"):
        told(made, "POST", "/v1/search", json={"text": text, "mode": mode})
    told(made, "POST", "/v1/batch/facts", json={"items": [text]})
    told(made, "POST", "/v1/batch/around", json={"items": [{"video_id": text, "at_s": 1}]})
    told(made, "POST", "/v1/batch/captions", json={"items": [{"video_id": HOLIDAY, "cursor": text}]})
    told(made, "POST", "/v1/batch/objects", json={"items": [{"class_names": [text], "cursor": text}]})


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_are_none(made: Api, number: str) -> None:
    for path, name in (
        (f"/v1/videos/{HOLIDAY}/around", "at_s"),
        (f"/v1/videos/{HOLIDAY}/segment", "at_s"),
        (f"/v1/videos/{HOLIDAY}/frames", "from_s"),
        (f"/v1/videos/{HOLIDAY}/frames", "limit"),
        ("/v1/videos", "limit"),
        (f"/v1/videos/{HOLIDAY}/frames/0", "version_id"),
        (f"/v1/videos/{HOLIDAY}/frames/0/image", "version_id"),
        ("/v1/search?text=a", "limit"),
        ("/v1/conversations/c/messages", "last"),
    ):
        mark = "&" if "?" in path else "?"
        status = told(made, "GET", f"{path}{mark}{name}={number}")
        assert status in (404, 422) or number in ("1e308", "-0.0000001", "-1"), (path, name, status)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "-1", "1e308", "9" * 300, "true", '"1"', "[1]"]
)
def test_numbers_in_a_body_that_are_none(made: Api, number: str) -> None:
    headers = {"content-type": "application/json"}
    for path, body in (
        ("/v1/batch/around", f'{{"items":[{{"video_id":"{HOLIDAY}","at_s":{number}}}]}}'),
        ("/v1/batch/around", f'{{"items":[{{"video_id":"{HOLIDAY}","at_s":1,"within_s":{number}}}]}}'),
        ("/v1/batch/captions", f'{{"items":[{{"video_id":"{HOLIDAY}","from_s":{number}}}]}}'),
        ("/v1/batch/captions", f'{{"items":[{{"video_id":"{HOLIDAY}","to_s":{number}}}]}}'),
        ("/v1/batch/captions", f'{{"items":[{{"video_id":"{HOLIDAY}","limit":{number}}}]}}'),
        ("/v1/batch/objects", f'{{"items":[{{"class_names":["dog"],"min_confidence":{number}}}]}}'),
        ("/v1/search", f'{{"text":"a","limit":{number}}}'),
        ("/v1/search", f'{{"text":"a","from_s":{number}}}'),
    ):
        told(made, "POST", path, content=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"\xff\xfe\x00", "application/json"),
        (b'{"items":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "application/json"),
        (b'{"items":["\\ud800"]}', "application/json"),
        (b'{"items":[], "items":["x"]}', "application/json"),
        (b"<a/>", "application/xml"),
        (b"items=1", "application/x-www-form-urlencoded"),
        (b'{"items":["holiday-000000000001"]}', "text/plain"),
        (b'{"items":["holiday-000000000001"]}', "application/json; charset=utf-16"),
        (b"null", "application/json"),
        (b"1", "application/json"),
        (b'"' + b"x" * 1_000_000 + b'"', "application/json"),
        (b"x" * 11_000_000, "application/json"),
    ],
)
def test_bodies_that_are_none(made: Api, body: bytes, content_type: str) -> None:
    for path in ("/v1/batch/facts", "/v1/batch/around", "/v1/search", "/v1/conversations/c/turns"):
        status = told(made, "POST", path, content=body, headers={"content-type": content_type})
        assert status in (400, 413, 415, 422) or b"holiday" in body, (path, status)


def test_what_is_named_twice_is_not_taken_twice(made: Api) -> None:
    found = made.client.get(f"/v1/videos/{HOLIDAY}/captions?limit=1&limit=2")
    assert found.status_code in (200, 422)
    assert told(made, "GET", f"/v1/videos/{HOLIDAY}/around?at_s=1&at_s=nan") == 422


def test_a_text_that_is_too_long_is_refused_before_it_is_read(made: Api) -> None:
    assert told(made, "GET", f"/v1/search?text={'x' * 20_000}") in (414, 422, 431)
    assert told(made, "GET", "/v1/videos", headers={"x-a": "b" * 20_000}) == 431
    body = {"user": "x" * 100_001, "assistant": "y"}
    assert told(made, "POST", "/v1/conversations/c/turns", json=body) == 422
    assert told(made, "POST", "/v1/conversations/c/turns", json={"user": " \t\n", "assistant": "y"}) == 422
    assert (
        told(made, "POST", "/v1/conversations/c/turns", json={"user": "x", "assistant": "y", "turn_id": "a b"}) == 422
    )


def test_what_was_said_to_the_memory_is_kept_as_it_was_said(made: Api) -> None:
    for text in TEXTS:
        body = {"user": text + "x", "assistant": text + "y"}
        found = made.client.post("/v1/conversations/hostile/turns", json=body)
        if found.status_code == 201:
            assert [one["content"] for one in found.json()] == [text + "x", text + "y"]
        else:
            assert found.status_code == 422, (text, found.text)
    made.client.delete("/v1/conversations/hostile/messages")


def test_headers_that_end_early_add_none(tmp_path: Path) -> None:
    """Over a socket, for clients refuse to send such things."""
    home = tmp_path / "data"
    tables = rows(home, frames=4, video_id=HOLIDAY, sha256=sha256_bytes(b"holiday"))
    operations(Store, home).commit(stage(home, tables), run_id="run-1", channel="test")
    lines = [
        b"GET /v1/videos/resolve?name=a%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/videos HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: a\r\n\tSet-Cookie: a=b\r\n",
        b"GET /v1/videos HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: a\x00b\r\n",
        b"GET /v1/videos HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \xff\xfe,,,W/,*x\r\n",
        b"GET /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n",
        b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"GET /v1/../secret.txt HTTP/1.1\r\nHost: localhost\r\n",
        b"GET //etc/passwd HTTP/1.1\r\nHost: localhost\r\n",
        b"BREW /v1/videos HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/videos?a=\xff\xfe HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/videos HTTP/9.9\r\nHost: localhost\r\n",
    ]
    with listening(home) as (made, url):
        port = int(url.rpartition(":")[2])
        for line in lines:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(line + b"Connection: close\r\n\r\n0\r\n\r\n")
                answer = b""
                while part := connection.recv(65_536):
                    answer += part
            head = answer.partition(b"\r\n\r\n")[0]
            assert b"\r\nset-cookie" not in head.lower(), line
            assert not head.startswith(b"HTTP/1.1 5"), (line, answer)
        assert json.loads(made.client.get("/health/live").content)["status"] == "live"
