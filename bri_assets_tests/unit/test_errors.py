"""Errors say what happened, to what, and what to do; and they travel between processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

from bri_assets import errors
from bri_assets.errors import BriError, CommitRefused, RowsInvalid, UploadRefused

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BriError)]


def make(kind: type[BriError]) -> BriError:
    if kind is UploadRefused:
        return UploadRefused("a.mp4", "is empty.", "Upload it again.", code="empty")
    if kind is RowsInvalid:
        return RowsInvalid(
            "captions", [{"column": "text", "check": "not_nullable", "failure_case": "None", "index": 1}]
        )
    if kind is CommitRefused:
        return CommitRefused("a-0", {"every_frame_has_a_caption": [{"frame_index": 1}]})
    return kind("a.mp4", "went wrong.", "Do this.")


@pytest.mark.parametrize("kind", ALL)
def test_an_error_says_what_happened_to_what_and_what_to_do(kind: type[BriError]) -> None:
    error = make(kind)
    assert str(error).startswith(f"{error.subject}: ")
    assert error.what in str(error)
    assert error.remedy
    assert error.remedy in str(error)


@pytest.mark.parametrize("kind", ALL)
def test_an_error_travels_between_processes(kind: type[BriError]) -> None:
    error = make(kind)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (str(back), vars(back)) == (str(error), vars(error))


def test_all_errors_are_named_for_import() -> None:
    assert {kind.__name__ for kind in ALL} == set(errors.__all__)


def test_only_what_trying_again_can_mend_is_retried() -> None:
    assert [kind.__name__ for kind in ALL if kind.retryable] == [
        "DeliveryFailed",
        "OwnerGone",
        "ServerBusy",
        "StoreBusy",
        "UpkeepUnfinished",
    ]
