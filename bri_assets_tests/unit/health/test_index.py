"""The look at the index: one finding, whatever is the matter, once it had the time to follow."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import pytest

from bri_assets.checks.indexed import Agreement, agrees_evaluation
from bri_assets.checks.partitioned import report_evaluation
from bri_assets.definitions import build_defs
from bri_assets.health.index import INDEX
from bri_assets.health.runs import RUNS
from bri_assets.jobs import INDEX as JOB
from bri_assets.search.index import Index
from bri_assets.store.deletion import Deletion
from bri_assets_tests.unit.health.conftest import Home

AN_HOUR = timedelta(hours=1)


def index_of(home: Home) -> Index:
    return Index.of(home.made.settings)


def told(home: Home, later: timedelta = AN_HOUR) -> dict[str, Any]:
    return home.the("index_behind", INDEX, later=later).facts


def test_an_index_that_follows_is_no_finding(healthy: Home) -> None:
    assert index_of(healthy).status().state == "current"
    assert healthy.rules(INDEX, later=AN_HOUR) == []


def test_an_index_that_is_gone_is_one_once_it_had_the_time_to_follow(healthy: Home) -> None:
    shutil.rmtree(healthy.made.settings.index_dir)
    # The home was made once for all tests, some time ago.
    assert healthy.rules(INDEX, later=-AN_HOUR) == []
    found = healthy.the("index_behind", INDEX, later=AN_HOUR)
    assert (found.weight, found.facts["lacking"]) == ("WARN", 1)
    assert "`bri index sync`" in found.remedy
    index_of(healthy).sync()
    assert healthy.rules(INDEX, later=AN_HOUR) == []


def test_a_store_of_no_videos_needs_no_index(healthy: Home) -> None:
    Deletion.of(healthy.made.settings).delete(healthy.video_id, channel="test")
    shutil.rmtree(healthy.made.settings.index_dir)
    assert healthy.rules(INDEX, later=AN_HOUR) == []


def test_what_is_deleted_and_stays_in_it_is_one(healthy: Home) -> None:
    Deletion.of(healthy.made.settings).delete(healthy.video_id, channel="test")
    assert healthy.rules(INDEX) == []
    assert told(healthy)["surplus"] == 1
    index_of(healthy).sync()
    assert healthy.rules(INDEX, later=AN_HOUR) == []


def test_an_index_of_another_model_or_a_damaged_one_is_one_at_once(healthy: Home) -> None:
    (current,) = healthy.made.settings.index_dir.glob("g-*")
    (current / "held.json").write_text("{")
    found = healthy.the("index_behind", INDEX, later=timedelta(0))
    assert found.facts["unusable"]
    assert "`bri index rebuild`" in found.remedy


@pytest.mark.parametrize(("differs", "found"), [(True, 1), (False, 0)])
def test_rows_that_a_check_found_to_be_others_are_one_until_the_index_is_made_anew(
    healthy: Home, differs: bool, found: int
) -> None:
    instance = healthy.made.instance
    run = instance.get_runs()[0]
    verdict = Agreement(False, "has other texts", [{"what": "has other texts"}], differs=differs)
    report_evaluation(instance, run, "verification", agrees_evaluation(healthy.video_id, verdict))
    assert len(healthy.rules(INDEX)) == found
    index_of(healthy).rebuild()
    assert healthy.rules(INDEX) == []


def test_a_run_that_could_not_bring_it_up_is_no_finding_of_its_own(healthy: Home) -> None:
    (current,) = healthy.made.settings.index_dir.glob("g-*")
    (current / "held.json").write_text("{")
    job = build_defs(healthy.made.settings).resolve_job_def(JOB)
    assert not job.execute_in_process(instance=healthy.made.instance, raise_on_error=False).success
    assert healthy.rules(INDEX, RUNS) == ["index_behind"]
