"""The question set, put to a real server over real videos on three ways: Python, REST, MCP with the official client."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from mcp import Client

from bri_assets.settings import Settings
from bri_assets_tests.commands import Bri
from bri_assets_tests.questions.asked import QUESTIONS, Question
from bri_assets_tests.questions.clips import make_collection
from bri_assets_tests.questions.judging import Answer, Found, Shown, problems
from bri_assets_tests.questions.ways import Mcp, Python, Rest, Way

_PATIENCE_S = 90.0


@dataclass(frozen=True)
class Asked:
    """The server that is asked.

    Args:
        folder: of the clips.
        settings: of its home.
        url: where it answers.
    """

    folder: Path
    settings: Settings
    url: str


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, light_variables: dict[str, str]) -> Iterator[Asked]:
    """Five clips, ingested for real, and a server that has the store."""
    root = tmp_path_factory.mktemp("questions")
    clips, home = root / "clips", root / "home"
    clips.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bri = Bri(home, {**light_variables, "BRI_SERVE_PORT": str(port)})
    bri("ingest", *make_collection(clips))
    # Into a file: a pipe that nobody reads fills up, and a server that cannot log stands still.
    with (root / "serve.log").open("wb") as log:
        server = subprocess.Popen([*bri.command, "serve"], env=bri.environment, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/ready")
        settings = Settings(home=home, models_dir=Path(light_variables["BRI_MODELS_DIR"]))
        yield Asked(clips, settings, f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(_PATIENCE_S)


@pytest.fixture(scope="module")
def ways(asked: Asked) -> Iterator[dict[str, Way]]:
    """The three ways; the client of MCP lives in a loop of its own."""
    client = Client(f"{asked.url}/mcp")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client):
        yield {"python": Python(asked.settings), "rest": Rest(asked.url), "mcp": Mcp(portal, client)}


def test_there_are_enough_questions_and_none_twice() -> None:
    assert len({question.text for question in QUESTIONS}) == len(QUESTIONS) >= 50


@pytest.mark.parametrize("way", ["python", "rest", "mcp"])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.text)
def test_the_answer_is_right_and_so_is_its_evidence(
    asked: Asked, ways: dict[str, Way], question: Question, way: str
) -> None:
    answer = ways[way].ask(question)
    assert list(problems(question, answer, asked.folder, ways[way].image)) == []


@pytest.mark.parametrize("question", [one for one in QUESTIONS if one.true], ids=lambda question: question.text)
def test_an_answer_that_echoes_the_question_is_wrong(asked: Asked, ways: dict[str, Way], question: Question) -> None:
    words = f"{question.text} {question.given.get('text', '')} {' '.join(question.given.get('class_names', []))}"
    times = [float(number) for number in re.findall(r"\d+\.?\d*", question.text)] or [0.0]
    echo = tuple(
        Found(clip, at, at, words, (Shown(0, 0.0, ""),)) for clip in ("tour", "street", "pets", "bikes") for at in times
    )
    assert list(problems(question, Answer(echo), asked.folder, ways["python"].image))


def test_a_question_of_meaning_does_not_name_what_it_looks_for() -> None:
    for question in QUESTIONS:
        if question.given.get("mode") in ("semantic", "hybrid"):
            named = [word for true in question.true for word in true.words if word in question.given["text"].lower()]
            assert named == [], question.text


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not _answers(url):
        assert time.monotonic() < deadline, f"{url} was not ready in {_PATIENCE_S} s"
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
