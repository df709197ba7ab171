"""Schemathesis asks a real `bri serve` whatever its OpenAPI document allows and forbids, within two minutes.

It looks that nothing ends in an error of the server's, that answers are what the document says, that what the document
forbids is refused, and that nobody gets in without a token.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bri_assets.files import sha256_bytes
from bri_assets.store import Store
from bri_assets.store.memory import Memory, Turn
from bri_assets.store.tokens import Tokens
from bri_assets_tests.apis import served
from bri_assets_tests.bundles import operations, rows, stage
from bri_assets_tests.commands import Bri
from bri_assets_tests.pictures import with_pictures

#: The video of the document's own examples.
TOUR = "tour-21ff9bd7b06e"

#: What the document cannot say: that a time lies within its video, that a cursor was given out, that 0.5 is no date.
CONFIG = """
[checks.positive_data_acceptance]
enabled = false

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 413, 415, 421, 422, 429, 431]

# Starlette names the methods of one route of a path, and not those of the others.
[checks.allow_header_conformance]
enabled = false

[[operations]]
include-operation-id = ["search", "search_by_body", "batch_search", "list_videos", "list_uploads"]
checks.negative_data_rejection.enabled = false
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one video, with real pictures, and a conversation about it."""
    home = tmp_path / "data"
    tables = rows(home, frames=24, video_id=TOUR, sha256=sha256_bytes(TOUR.encode()))
    tables["source_video"][0]["filename"] = "tour.mp4"
    operations(Store, home).commit(stage(home, with_pictures(home, tables)), run_id="run", channel="test")
    turn = Turn(conversation_id="chat-17", user="When is the cat on screen?", assistant="Never.", video_id=TOUR)
    operations(Memory, home).add(turn, channel="test")
    return home


def test_the_document_holds(home: Path, tmp_path: Path) -> None:
    secret = operations(Tokens, home).create("schemathesis", "admin", None, channel="test").secret
    config, log = tmp_path / "schemathesis.toml", tmp_path / "serve.log"
    config.write_text(CONFIG)
    settings = {"BRI_SERVE_AUTH": "on", "BRI_SERVE_RATE": "100000000/second", "BRI_UPLOAD_MAX_GB": "0.001"}
    with served(Bri(home, settings), log) as url:
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("st"), "--config-file", config),
                *("run", f"{url}/openapi.json", "--wait-for-schema", "60"),
                *("-H", f"Authorization: Bearer {secret}"),
                *("--phases", "examples,coverage,fuzzing", "-n", "10", "--max-time", "90", "--seed", "5"),
                *("--request-timeout", "30", "--continue-on-failure", "--no-color", "--output-truncate", "false"),
                # It would hide the video that all others ask for; `test_lifecycle` has it.
                *("--exclude-operation-id-regex", "^delete_"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}{done.stderr[-2_000:]}{log.read_text()[-5_000:]}"
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated, done.stdout
    assert int(generated[1]) > 500
