"""What travels to the owner of the store arrives as it left: arguments, results and errors."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bri_assets import errors
from bri_assets.errors import BriError, CommitRefused, OwnerFailed
from bri_assets.store import GROUPS, Store
from bri_assets.store.access.operations import OPERATIONS
from bri_assets.store.access.wire import pack, pack_error, signature_of, unpack, unpack_error
from bri_assets_tests.bundles import VIDEO_ID, open_store, rows, stage
from bri_assets_tests.unit.test_errors import ALL, make


@pytest.mark.parametrize("value", [None, True, 1, 2**62, 1.1, "ä", [], {"a": [1, {"b": None}]}, b"bytes", {1: "one"}])
def test_plain_values_are_the_same_afterwards(value: Any) -> None:
    assert unpack(pack(value)) == value


def test_times_keep_their_microseconds_and_zone() -> None:
    now = datetime(2026, 11, 22, 12, 30, 0, 123456, UTC)
    back = unpack(pack({"at": now}))["at"]
    assert back == now
    assert back.tzinfo is not None


@pytest.mark.parametrize("kind", ALL)
def test_every_error_of_ours_arrives_as_itself(kind: type[BriError]) -> None:
    error = make(kind)
    back = unpack_error(pack_error(error))
    assert type(back) is kind
    assert str(back) == str(error)
    assert vars(back) == vars(error)


@pytest.mark.parametrize("name", ["SystemExit", "Any", "os", "BriErrors"])
def test_no_other_name_is_taken_for_an_error(name: str) -> None:
    assert isinstance(unpack_error(pack({"error": name, "arguments": ["x"]})), OwnerFailed)
    assert name == "Any" or not hasattr(errors, name)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_has_types_that_travel_and_an_owner_that_knows_it(name: str) -> None:
    signature_of(OPERATIONS[name])
    group, method = name.split(".")
    assert method in vars({one.__name__: one for one in GROUPS}[group])


def test_a_bundle_and_what_its_commit_gives_arrive_whole(tmp_path: Path) -> None:
    store, bundle = open_store(tmp_path), stage(tmp_path, rows(tmp_path))
    signature = signature_of(OPERATIONS["Store.commit"])
    sent = signature.plain_arguments(bundle, run_id="run", channel="test")
    arrived = signature.arguments(unpack(pack(sent)))
    assert arrived["bundle"].sha256 == bundle.sha256
    committed = OPERATIONS["Store.commit"](store, **arrived)
    assert signature.result(unpack(pack(signature.plain_result(committed)))) == committed


def test_what_is_read_arrives_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(stage(tmp_path, rows(tmp_path)), run_id="run", channel="test")
    signature, found = signature_of(OPERATIONS["Store.video"]), Store.video(store, VIDEO_ID)
    assert signature.result(unpack(pack(signature.plain_result(found)))) == found


def test_a_refusal_brings_its_rows(tmp_path: Path) -> None:
    store, tables = open_store(tmp_path), rows(tmp_path)
    del tables["captions"][1]
    with pytest.raises(CommitRefused) as caught:
        store.commit(stage(tmp_path, tables), run_id="run", channel="test")
    back = unpack_error(pack_error(caught.value))
    assert isinstance(back, CommitRefused)
    assert back.failed == caught.value.failed
