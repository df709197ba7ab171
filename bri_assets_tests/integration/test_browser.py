"""What a person sees and clicks in Dagster's UI, in a real browser: pictures that are shown, and a verdict with rows.

The last test breaks the video.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from bri_assets.store import PROOFS
from bri_assets_tests.commands import Bri
from bri_assets_tests.integration.conftest import SAMPLE
from bri_assets_tests.ui import Ui, running_ui

#: As a container's root needs it, and asking nobody outside for anything.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: Nothing but the uploads and what is clicked starts a run.
JOBS = ("BACKUP", "UPKEEP", "DRILL", "VERIFY", "MEASURE")
QUIET = {"BRI_RECONCILE_S": "86400"} | {f"BRI_{job}_CRON": "off" for job in JOBS}

#: Longest wait for something to appear, in ms: the page asks the server for it, which has other work.
PATIENCE_MS = 60_000

pytestmark = pytest.mark.timeout(600)
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def chromium() -> str:
    """Path of the browser."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("TEST_BROWSER") or next(filter(None, map(shutil.which, names)), None)
    assert found, "No browser is here. Install one (`apt-get install chromium`), or say where it is in TEST_BROWSER."
    return found


@pytest.fixture(scope="module")
def ui(chromium: str, light_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """A running UI, and the sample dropped into its folder and committed."""
    home = tmp_path_factory.mktemp("browser")
    with running_ui(Bri(home / "data", light_variables | QUIET), home / "log") as opened:
        shutil.copy(SAMPLE, opened.bri.home / "uploads" / "tour.mp4")
        opened.wait_for("the commit", lambda: [row["state"] for row in opened.bri.store.status()] == ["committed"])
        _wait_until_nothing_runs(opened)
        yield opened


@pytest.fixture(scope="module")
def video(ui: Ui) -> str:
    """The partition."""
    return str(ui.bri.store.status()[0]["video_id"])


@pytest.fixture
def page(ui: Ui, video: str, chromium: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window of its own; what it shows when a test fails is kept as a picture."""
    with sync_playwright() as playwright:
        # What a browser leaves behind belongs into no person's home.
        environment = os.environ | {"HOME": str(tmp_path)}
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS, env=environment)
        opened = browser.new_page(base_url=ui.url, viewport={"width": 1400, "height": 1000})
        opened.set_default_timeout(PATIENCE_MS)
        failed_before = request.session.testsfailed
        yield opened
        if request.session.testsfailed > failed_before:
            opened.screenshot(path=Path(tempfile.gettempdir()) / f"{request.node.name}.png")
        browser.close()


def test_an_upload_is_a_partition_and_its_asset_says_what_it_is(page: Page, video: str) -> None:
    page.goto("/assets/frames")
    expect(page.get_by_text("Sampled frames, one row a frame")).to_be_visible()
    expect(page.get_by_text("Time of the frame from the container's start in seconds, >= 0.")).to_be_visible()
    page.get_by_role("tab", name="Partitions").click()
    expect(page.get_by_text(video).first).to_be_visible()


def test_a_partition_is_materialized_by_clicking_and_its_frames_are_shown(page: Page, ui: Ui, video: str) -> None:
    run = _materialize(page, ui, "frames", video)
    assert run["status"] == "SUCCESS"
    _show_newest(page, "frames")
    expect(page.get_by_text("materialized in run")).to_contain_text(run["runId"][:8])
    _open_markdown(page, "contact_sheet")
    _see_picture(page, "All 12 frames")


def test_every_stage_shows_what_it_made(page: Page, ui: Ui, video: str) -> None:
    _show_newest(page, "detections")
    classes = page.locator("tr", has=page.get_by_role("cell", name="classes", exact=True))
    expect(classes.get_by_role("cell", name="cat", exact=True)).to_be_visible()
    _open_markdown(page, "boxes")
    _see_picture(page, "4 of 12 frames with objects")

    _show_newest(page, "transcripts")
    expect(page.get_by_text("And Mr. John Dashwood had then leisure")).to_be_visible()

    _show_newest(page, "captions")
    expect(page.get_by_text("A large cat in the centre").first).to_be_visible()

    _show_newest(page, "committed_video")
    for proof in PROOFS:
        expect(page.get_by_role("cell", name=proof.name, exact=True)).to_be_visible()


def test_a_failed_check_shows_its_verdict_and_the_rows_that_offend(page: Page, ui: Ui, video: str) -> None:
    _wait_until_nothing_runs(ui)
    lost = sorted((ui.bri.home / "frames" / video).glob("000003-*.jpg"))
    assert lost
    for image in lost:
        image.unlink()
    run = _materialize(page, ui, "committed_video", video)
    assert run["status"] == "FAILURE"
    page.goto("/assets/committed_video?view=checks&checkDetail=proofs")
    expect(page.get_by_text("the commit was refused by every_image_is_the_staged_one")).to_be_visible()
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    offending = page.locator("tr", has=page.get_by_text("offending/every_image_is_the_staged_one", exact=True))
    expect(offending.get_by_role("columnheader", name="frame_index")).to_be_visible()
    expect(offending.get_by_role("cell", name=f"frames/{video}/{lost[0].name}", exact=True)).to_be_visible()


def _materialize(page: Page, ui: Ui, asset: str, video: str) -> dict[str, Any]:
    """Click through the dialog for one partition; returns the run that was launched, once it has ended."""
    page.goto(f"/assets/{asset}")
    page.get_by_role("button", name="Materialize…").click()
    page.get_by_text("Select a partition or create one").click()
    page.get_by_role("menuitem").filter(has_text=video).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click()
    told = re.search(r"Launched run ([0-9a-f]{8})", page.get_by_text("Launched run").inner_text())
    assert told is not None

    def ended() -> dict[str, Any] | None:
        (run,) = [run for run in ui.runs() if run["runId"].startswith(told[1])]
        return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

    return ui.wait_for(f"the end of the run of {asset}", ended)


def _show_newest(page: Page, asset: str) -> None:
    """Open the newest materialization of an asset."""
    page.goto(f"/assets/{asset}?view=events")
    expect(page.get_by_text("materialized in run")).to_be_visible()


def _open_markdown(page: Page, label: str) -> None:
    row = page.locator("tr", has=page.get_by_role("cell", name=label, exact=True))
    row.get_by_text("[Show Markdown]").click()


def _see_picture(page: Page, alternative: str) -> None:
    """A picture of that description is on the page, and the browser could decode and show it."""
    picture = page.get_by_role("img", name=alternative)
    expect(picture).to_be_visible()
    page.wait_for_function("picture => picture.complete", arg=picture.element_handle())
    assert picture.evaluate("picture => picture.naturalWidth") > 500
    assert (picture.bounding_box() or {"width": 0})["width"] > 300


def _wait_until_nothing_runs(ui: Ui) -> None:
    ui.wait_for("the end of all runs", lambda: not ui.runs(statuses=["QUEUED", "NOT_STARTED", "STARTING", "STARTED"]))
