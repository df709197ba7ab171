"""Drift: whether what is committed of a video is still what was committed, in the store and on disk.

What was committed is kept several times: in the rows, in ``lineage``, in the audit log (the digests of the staged
manifests) and in the staged files, whose names and manifests carry their hashes. Each check holds one of them against
the others, so that one fault fails one check. Nothing is changed, and nothing but the version that is shown is asked
about: the drill proves the rest. What does not belong here: Dagster (``drift``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bri_assets.checks.committed import Case
from bri_assets.content import canonical
from bri_assets.errors import BriError, UploadRefused
from bri_assets.files import sha256_bytes, sha256_file
from bri_assets.findings import Severity
from bri_assets.media.fingerprint import Signature
from bri_assets.schemas import FRAMES, STAGED_TABLES
from bri_assets.staging import Manifest
from bri_assets.store.verify import Proven, SourceFile, Verification

__all__ = ["CHECKS", "DriftCheck", "Verdict", "could_not", "verify"]

#: Offending rows that are kept of one verdict.
_MOST = 100
#: Looks that another commit may outrun.
_LOOKS = 5

_Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """What a check came to for one video.

    Args:
        passed: nothing is wrong.
        told: what was found, and what to do about it, as sentences.
        offending: what is wrong, as records; at most 100.
        looked_at: rows, files or tables that were looked at.
        version: number of the version that was looked at; None where nothing is shown.
    """

    passed: bool
    told: str
    offending: _Rows = field(default_factory=list)
    looked_at: int = 0
    version: int | None = None


_NOTHING = Verdict(True, "Nothing of this video is shown.")


def verify(store: Verification, video_id: str, names: Iterable[str] | None = None) -> dict[str, Verdict]:
    """Run drift checks for one video; what they share is read once.

    Args:
        store: reads of the store.
        video_id: the video; of one that is not shown, nothing is asked.
        names: of the checks; default: all of ``CHECKS``.

    Raises:
        BriError: as every operation of the store; nothing can be said of the video then.
    """
    wanted = tuple(CHECKS if names is None else names)
    case = Case.of(store, video_id)
    if case is None:
        return dict.fromkeys(wanted, _NOTHING)
    return {name: CHECKS[name].judge(case) for name in wanted}


def could_not(error: BriError) -> Verdict:
    """The verdict where the store could not even be asked about the video."""
    return Verdict(False, str(error), [{"subject": error.subject, "what": error.what, "next": error.remedy}])


def _unchanged(case: Case) -> Verdict:
    """The rows are those that were committed, and every proof still holds."""
    for _ in range(_LOOKS):
        proven = case.store.prove(case.promise.video_id, case.promise.version_id, list(case.described.values()))
        if proven is not None:
            return _judged(case, proven)
        now = Case.of(case.store, case.promise.video_id)
        if now is None:
            return _NOTHING
        case = now
    return Verdict(True, "Other versions are committed faster than they can be proven; the next look will tell.")


def _judged(case: Case, proven: Proven) -> Verdict:
    said = {name: (row["row_count"], row["content_sha256"]) for name, row in case.described.items()}
    wrong = [name for name in STAGED_TABLES if name in said and proven.held[name] != said[name]]
    offending = [row for name in wrong for row in _changed_rows(case, name)]
    offending += [
        {"proof": name, "meaning": meaning} | row
        for name, (meaning, rows) in proven.failed.items()
        if not (wrong and name.endswith("_equal_the_manifests"))
        for row in rows
    ]
    looked_at = sum(count for count, _ in proven.held.values())
    if not offending:
        return _fine(case, "Rows and proofs are as they were when they were committed.", looked_at)
    named = ", ".join(wrong) or ", ".join(proven.failed)
    told = (
        f"What the store holds of {named} is not what was committed: somebody changed the database by hand."
        " Materialize those assets and committed_video of this partition again, or restore a backup (`bri restore`)."
    )
    return _wrong(case, told, offending, looked_at)


def _changed_rows(case: Case, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table that are not those that were staged; without staged rows, only that there are some."""
    spec, staged = STAGED_TABLES[table], case.staged[table]
    if isinstance(staged, str):
        yield {"table": table, "what": f"changed; which rows cannot be told, for {staged}"}
        return
    names = [column.name for column in spec.columns]
    places = [names.index(name) for name in spec.key]
    held = case.store.held(case.promise.video_id, case.promise.version_id, table)
    now = {tuple(row[place] for place in places): row for row in held}
    then = {tuple(row[place] for place in places): list(row) for row in staged}
    for key in sorted(now.keys() | then.keys()):
        row = {"table": table} | dict(zip(spec.key, key, strict=True))
        if key not in now or key not in then:
            yield row | {"what": "removed" if key in then else "added"}
            continue
        for name, before, after in zip(names, then[key], now[key], strict=True):
            if before != after:
                yield row | {"what": "changed", "column": name, "committed": before, "now": after}


def _lineage_complete(case: Case) -> Verdict:
    """What says how the version was made is whole: lineage, digests, staged files."""
    offending = [*_lineage_rows(case), *_digests(case)]
    for table, staged in case.staged.items():
        if isinstance(staged, str) and not any(row["table"] == table for row in offending):
            offending.append({"table": table, "what": f"what was staged cannot be had: {staged}"})
    if not offending:
        return _fine(case, "How each table was made is known, and what was staged is there.", len(STAGED_TABLES))
    tables = ", ".join(dict.fromkeys(row["table"] for row in offending))
    told = (
        f"How version {case.promise.version} was made is not whole ({tables}). What is shown is not touched by it, but"
        " a restore may need it: put staged files back from a copy of BRI_HOME, restore a backup (`bri restore`) where"
        " lineage is wrong, or materialize all assets of this partition again."
    )
    return _wrong(case, told, offending, len(STAGED_TABLES))


def _lineage_rows(case: Case) -> Iterator[dict[str, Any]]:
    recorded = {row["table_name"]: row for row in case.promise.lineage}
    for table in STAGED_TABLES:
        if table not in recorded:
            yield {"table": table, "what": "has no lineage"}
        elif isinstance(case.manifests[table], Manifest):
            for name, expected in case.described[table].items():
                if _plain(recorded[table].get(name)) != _plain(expected):
                    yield {
                        "table": table,
                        "what": "its lineage is not what was committed",
                        "column": name,
                        "committed": expected,
                        "now": recorded[table].get(name),
                    }


def _digests(case: Case) -> Iterator[dict[str, Any]]:
    """The version names its manifests by one hash over all digests."""
    complete = set(case.digests) >= set(STAGED_TABLES)
    if complete and sha256_bytes(canonical({name: case.digests[name] for name in STAGED_TABLES})) != (
        case.promise.bundle_sha256
    ):
        yield {"table": "video_versions", "what": "its bundle is not made of the manifests that were committed"}


def _images(case: Case) -> Verdict:
    """Every image of the version lies on disk with the hash that was committed."""
    names, staged = [column.name for column in FRAMES.columns], case.staged["frames"]
    # The staged rows, for a row that was changed in the database is another check's.
    rows: Sequence[Sequence[Any]] = (
        case.store.held(case.promise.video_id, case.promise.version_id, "frames") if isinstance(staged, str) else staged
    )
    frames = [dict(zip(names, row, strict=True)) for row in rows]
    wrong = [(frame, _image_fault(case.store.home, frame)) for frame in frames]
    offending = [
        {"frame_index": frame["frame_index"], "image_path": frame["image_path"], **fault}
        for frame, fault in wrong
        if fault
    ]
    if not offending:
        return _fine(case, "Every image is on disk as it was committed.", len(frames))
    told = (
        f"{len(offending)} of {len(frames)} image(s) are missing or were changed, the first is"
        f" {offending[0]['image_path']}. Remove what was changed and materialize all assets of this partition again,"
        " or put the files back from a copy of BRI_HOME."
    )
    return _wrong(case, told, offending, len(frames))


def _image_fault(home: Path, frame: dict[str, Any]) -> dict[str, Any] | None:
    try:
        found = sha256_file(home / frame["image_path"])
    except FileNotFoundError:
        return {"what": "missing"}
    except OSError as error:
        return {"what": f"cannot be read: {error.strerror}"}
    if found == frame["image_sha256"]:
        return None
    return {"what": "changed", "committed": frame["image_sha256"], "now": found}


def _upload_unchanged(case: Case) -> Verdict:
    """No file that the version was made of holds other bytes now, unless intake knows; one that was removed is fine."""
    faults = [(file, _upload_fault(file, case.promise.source_sha256)) for file in case.promise.files]
    offending = [{"path": file.path, "what": fault} for file, fault in faults if fault]
    if not faults or any(fault is None for _, fault in faults):
        there = any(Path(file.path).exists() and not file.replaced for file in case.promise.files)
        gone = "The upload was removed: the version stays, but cannot be made again (`bri reproduce`)."
        return _fine(case, "The upload holds the bytes that were ingested." if there else gone, len(faults))
    told = (
        f"{offending[0]['path']} {offending[0]['what']}. What is shown was made of other bytes and stays right, but"
        " cannot be made again: put the file back, remove it, or `bri ingest` it as it is now."
    )
    return _wrong(case, told, offending, len(faults))


def _upload_fault(file: SourceFile, sha256: str) -> str | None:
    """What is wrong with an upload; hashed only where its size or time is another one."""
    if file.replaced:
        return None
    path = Path(file.path)
    try:
        now, then = Signature.of(path), Signature.parse(file.signature)
        if (now.size, now.mtime_ns) == (then.size, then.mtime_ns):
            return None
        if now.size == then.size and sha256_file(path) == sha256:
            return None
    except UploadRefused as error:
        return None if error.code == "missing" else error.what.rstrip(".")
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return f"is recorded with a signature that is none ({error})"
    return "was changed since it was ingested"


@dataclass(frozen=True)
class DriftCheck:
    """A check: the asset that it is shown on, how severe its failure is, what it says, and how it is judged."""

    asset: str
    severity: Severity
    meaning: str
    judge: Callable[[Case], Verdict]


#: Every drift check, by its name.
CHECKS = {
    "unchanged": DriftCheck(
        "committed_video",
        "ERROR",
        "What the store holds of the version that is shown is what was committed, and every proof still holds.",
        _unchanged,
    ),
    "lineage_complete": DriftCheck(
        "committed_video",
        "ERROR",
        "How each table of the version that is shown was made is known, and what was staged for it is there.",
        _lineage_complete,
    ),
    "images": DriftCheck(
        "frames", "ERROR", "Every image of the version that is shown is on disk as it was committed.", _images
    ),
    "upload_unchanged": DriftCheck(
        "source_video",
        "WARN",
        "The uploaded file, where it is still there, holds the bytes that the version was made of.",
        _upload_unchanged,
    ),
}


def _fine(case: Case, told: str, looked_at: int) -> Verdict:
    return Verdict(True, told, looked_at=looked_at, version=case.promise.version)


def _wrong(case: Case, told: str, offending: _Rows, looked_at: int) -> Verdict:
    return Verdict(False, told, offending[:_MOST], looked_at, case.promise.version)


def _plain(value: Any) -> Any:
    """A value of ``lineage`` to be compared: JSON by what it says."""
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    return value
