"""The index of the search follows what is shown: real ingests, real models, real processes that are killed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from bri_assets.checks.indexed import AGREES_KEY, failing
from bri_assets.definitions import build_defs
from bri_assets.health.disagreements import compare
from bri_assets.health.index import INDEX as LOOK
from bri_assets.health.look import Scene
from bri_assets.health.repairs import SyncIndex
from bri_assets.jobs import INDEX
from bri_assets.search.index import Index
from bri_assets.search.model import SearchAnswer, SearchRequest
from bri_assets.search.search import Search
from bri_assets.sensors.reconcile import carry_out
from bri_assets.serve.follower import following
from bri_assets.serve.owner import groups_of
from bri_assets.serve.services import Services
from bri_assets.settings import Settings
from bri_assets.store import StoreFile
from bri_assets.store.access.owned import OwnedFile
from bri_assets.store.deletion import Deletion
from bri_assets.store.history import History
from bri_assets_tests.commands import ROOT, Bri
from bri_assets_tests.integration.conftest import SAMPLE
from bri_assets_tests.pipeline import Pipeline, pipeline

PATIENCE_S = 120.0
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
#: Said in the clip, and nowhere else.
SAID = "ill-disposed"

#: `bri`, of which the embedder hangs: the double makes the moment of the kill certain, all else is real.
_HANGING = """
import sys, time
from bri_assets.models.embedder import Embedder

def hang(*_, **__):
    print("embedding", flush=True)
    time.sleep(600)

Embedder.embed = hang
from bri_assets.cli import main
sys.argv[0] = "bri"
main()
"""


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, light: dict[str, Any]) -> tuple[Path, str]:
    """A home into which the sample was ingested, and the video's id."""
    home = tmp_path_factory.mktemp("indexed") / "data"
    with pipeline(home, **light) as made:
        video_id = made.accept(SAMPLE).video_id
        done = made.run(video_id)
        assert done.success
        assert dg.AssetKey("search_index") in {event.asset_key for event in done.get_asset_materialization_events()}
    return home, video_id


@pytest.fixture
def made(indexed: tuple[Path, str], tmp_path: Path, light: dict[str, Any]) -> Iterator[Pipeline]:
    """A copy of it."""
    shutil.copytree(indexed[0], tmp_path / "data")
    with pipeline(tmp_path / "data", **light) as opened:
        yield opened


@pytest.fixture
def video_id(indexed: tuple[Path, str]) -> str:
    """The video."""
    return indexed[1]


def found(settings: Settings, text: str = SAID) -> SearchAnswer:
    """What a search for words answers."""
    (answer,) = Search.of(settings).search([SearchRequest(text=text, mode="keyword")])
    return answer


def said(made: Pipeline) -> list[tuple[str, int]]:
    """Videos and versions of the hits."""
    answer = found(made.settings)
    assert answer.index.state == "current", answer.index.said
    return [(hit.source.video_id, hit.source.version) for hit in answer.hits]


def bri_of(made: Pipeline, light_variables: dict[str, str]) -> Bri:
    return Bri(made.settings.home, light_variables)


def scene(made: Pipeline, later: timedelta = timedelta(hours=1)) -> Scene:
    return Scene(made.settings, made.instance, datetime.now(UTC) + later)


def findings(made: Pipeline) -> list[str]:
    return [finding.rule for finding in LOOK.find(scene(made))]


def repaired(made: Pipeline) -> list[SyncIndex]:
    """What the sensor `reconcile` asks for, carried out as the daemon would."""
    repairs = [one for one in compare(scene(made)).repairs if isinstance(one, SyncIndex)]
    for request in carry_out(made.instance, made.settings, repairs).requests:
        assert request.job_name == INDEX
        done = index_job(made, request.run_config, dict(request.tags))
        assert done.success
    return repairs


def index_job(made: Pipeline, config: Any, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    job = build_defs(made.settings, resource_overrides=made.overrides).resolve_job_def(INDEX)
    return job.execute_in_process(
        instance=made.instance, run_config={**config, **QUIET}, tags=tags, raise_on_error=False
    )


def wait_for(what: str, look: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, f"not {what} in {PATIENCE_S:g} s"
        time.sleep(0.1)


def test_what_was_ingested_is_found_and_its_check_passed(made: Pipeline, video_id: str) -> None:
    assert said(made)[0] == (video_id, 1)
    assert made.verdict("search_index", "agrees").passed
    (record,) = made.instance.fetch_materializations(dg.AssetKey("search_index"), limit=1).records
    assert record.asset_materialization is not None
    shown = record.asset_materialization.metadata
    assert shown["model"].value == made.settings.embedder_model
    assert int(str(shown["texts_added"].value)) == int(str(shown["index_texts"].value)) > 0
    assert int(str(shown["index_bytes"].value)) > 0
    assert findings(made) == []


def test_a_new_version_a_rollback_a_deletion_and_its_end_are_followed(
    made: Pipeline, video_id: str, light_variables: dict[str, str]
) -> None:
    bri = bri_of(made, light_variables)
    assert made.run(video_id, ["committed_video", "search_index"]).success
    shown = History.of(made.settings).history(video_id).versions[-1].version
    assert {version for _, version in said(made)} == {shown}
    if shown > 1:
        bri("rollback", video_id, "1")
        assert {version for _, version in said(made)} == {1}
    bri("delete", video_id)
    assert said(made) == []
    assert Index.of(made.settings).status().versions == 0
    bri("undelete", video_id)
    assert said(made)[0][0] == video_id


def test_a_purge_leaves_no_text_of_the_video_in_the_index(
    made: Pipeline, video_id: str, light_variables: dict[str, str]
) -> None:
    texts = [row["text"] for row in made.store.video(video_id)["transcripts"]]
    assert holding(made, [*texts, video_id]), "the scan finds what is there"
    bri_of(made, light_variables)("purge", video_id, "--yes")
    assert holding(made, [*texts, video_id]) == []
    assert Index.of(made.settings).status().state in {"current", "missing"}


def test_a_purge_of_what_a_killed_sync_began_leaves_nothing_either(
    made: Pipeline, video_id: str, light_variables: dict[str, str]
) -> None:
    texts = [row["text"] for row in made.store.video(video_id)["transcripts"]]
    Deletion.of(made.settings).delete(video_id, channel="test")
    Index.of(made.settings).sync()
    Index.of(made.settings).rebuild()
    Index.of(made.settings).forget(video_id)
    assert holding(made, texts) == []
    Deletion.of(made.settings).undelete(video_id, channel="test")
    # Killed when the rows are written, and not yet counted.
    program = (
        "import os, signal; from bri_assets.search import index, tables; from bri_assets.settings import Settings\n"
        "add = tables.Table.add\n"
        "def deadly(*given):\n    add(*given)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "tables.Table.add = deadly\n"
        "index.Index.of(Settings()).sync()"
    )
    bri = bri_of(made, light_variables)
    killed = subprocess.run([sys.executable, "-c", program], env=bri.environment, cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert holding(made, texts), "rows were written"
    bri("purge", video_id, "--yes")
    assert holding(made, texts) == []


def holding(made: Pipeline, texts: list[str]) -> list[Path]:
    """Files of the index in which any of some texts can be read, whichever bytes are around it."""
    sought = [text.strip().encode() for text in texts]
    files = [path for path in made.settings.index_dir.rglob("*") if path.is_file()]
    return [path for path in files if any(text in path.read_bytes() for text in sought)]


def test_an_index_that_is_gone_is_said_answered_without_and_made_again_by_itself(made: Pipeline, video_id: str) -> None:
    shutil.rmtree(made.settings.index_dir)
    answer = found(made.settings)
    assert answer.index.state == "missing"
    assert answer.hits[0].source.video_id == video_id
    assert findings(made) == ["index_behind"]

    assert [(one.time, one.rebuild) for one in repaired(made)] == [(1, False)]

    assert said(made)[0] == (video_id, 1)
    assert findings(made) == []
    assert repaired(made) == []


def test_an_index_that_is_damaged_is_told_once_and_made_anew_by_itself(made: Pipeline, video_id: str) -> None:
    for path in made.settings.index_dir.rglob("*.lance"):
        if path.is_file():
            path.write_bytes(b"\0" * path.stat().st_size)
    job = build_defs(made.settings).resolve_job_def("verify")
    assert job.execute_in_process(instance=made.instance, run_config=QUIET, raise_on_error=False).success
    assert failing(made.instance) == [video_id]
    assert findings(made) == ["index_behind"]
    assert found(made.settings).hits[0].source.video_id == video_id

    assert [one.rebuild for one in repaired(made)] == [True]

    assert said(made)[0] == (video_id, 1)
    assert failing(made.instance) == [], "the job looks again at what had failed"
    assert findings(made) == []


def test_without_the_embedder_a_video_is_committed_and_a_person_is_told_of_the_index_alone(
    tmp_path: Path, light: dict[str, Any]
) -> None:
    lacking = tmp_path / "models"
    lacking.mkdir()
    for kind in ("detector", "transcriber"):
        (lacking / kind).symlink_to(light["models_dir"] / kind)
    with pipeline(tmp_path / "data", **light | {"models_dir": lacking}) as made:
        video_id = made.accept(SAMPLE).video_id
        done = made.run(video_id)
        assert done.success
        assert made.store.video(video_id)["video"]["version"] == 1
        assert dg.AssetKey("search_index") not in {one.asset_key for one in done.get_asset_materialization_events()}
        verdict = made.verdict("search_index", "agrees")
        assert (verdict.passed, verdict.partition) == (False, video_id)
        assert found(made.settings).hits[0].source.video_id == video_id
        assert findings(made) == ["index_behind"]
        assert not made.run(video_id, ["search_index"]).success, "asked for alone, it says that it failed"
        assert not index_job(made, {}, {}).success
        (lacking / "embedder").symlink_to(light["models_dir"] / "embedder")
        assert made.run(video_id, ["search_index"]).success
        assert (said(made)[0], findings(made)) == ((video_id, 1), [])


def test_a_kill_in_the_step_of_the_index_leaves_the_video_committed_and_the_next_ingest_completes_it(
    tmp_path: Path, light_variables: dict[str, str], light: dict[str, Any]
) -> None:
    bri = Bri(tmp_path / "data", light_variables)
    killed = subprocess.Popen(
        [sys.executable, "-c", _HANGING, "ingest", str(SAMPLE)],
        env=bri.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout is not None
    assert any(line.startswith("embedding") for line in killed.stdout)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    settings = Settings(home=bri.home, **light)
    assert bri.status()[SAMPLE.name]["state"] == "committed"
    assert found(settings).hits
    assert found(settings).index.state != "current"

    told = bri("ingest", SAMPLE)

    assert "committed already" in told
    assert "the search:" not in told
    assert found(settings).index.state == "current"


def test_the_thread_of_the_owner_follows_what_nobody_else_did_and_leaves_at_once(made: Pipeline, video_id: str) -> None:
    settings = made.settings.model_copy(update={"index_follow_s": 0.1})
    index, file = Index.of(made.settings), StoreFile.of(settings)
    with OwnedFile.owning(file, settings.read_cursors) as owned:
        services = Services.of(settings, groups_of(owned, settings))
        own = Index.of(settings, services.queries)
        with following(services):
            services.deletion.delete(video_id, channel="test")
            wait_for("taken out", lambda: own.status().versions == 0)
            services.deletion.undelete(video_id, channel="test")
            wait_for("put in again", lambda: own.status().versions == 1 and own.status().state == "current")
            shutil.rmtree(settings.index_dir)
            services.deletion.delete(video_id, channel="test")
            services.deletion.undelete(video_id, channel="test")
            wait_for("made again", lambda: own.status().state == "current" and own.status().versions == 1)
        assert "index-follower" not in {thread.name for thread in threading.enumerate()}
    assert index.status().state == "current"


def test_the_index_is_in_the_metrics(made: Pipeline, light_variables: dict[str, str]) -> None:
    lines = dict(
        line.rsplit(" ", 1) for line in bri_of(made, light_variables)("metrics").splitlines() if line[0] != "#"
    )
    assert float(lines["bri_index_up"]) == 1
    assert float(lines["bri_index_behind_videos"]) == 0
    assert float(lines["bri_index_rows"]) == Index.of(made.settings).status().texts


def test_a_check_that_was_planned_only_says_nothing(made: Pipeline, video_id: str) -> None:
    assert failing(made.instance) == []
    keys = build_defs(made.settings).resolve_asset_graph().asset_check_keys
    assert AGREES_KEY in keys
    assert video_id
