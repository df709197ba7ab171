"""Commits onto a disk that fills; run as a process in a name space in which a small file system lies over a folder.

``python -m bri_assets_tests.faults.small_disk HOME FOLDER WAY``: FOLDER, in HOME, is that small one, with a file
``ballast`` that can be removed to make room. Prints what happened, as JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from bri_assets.errors import BriError, StorageFailed
from bri_assets_tests.faults import jobs
from bri_assets_tests.faults.invariants import broken
from bri_assets_tests.faults.killing import Worker
from bri_assets_tests.faults.ledger import entries
from bri_assets_tests.faults.work import bring

#: Bytes that are free for the first commit.
ROOM = 512 * 1024

#: Videos that are tried.
MOST = 10


def main(home: Path, folder: Path, way: str) -> None:
    """Commit until the disk is full, look, make room, and go on."""
    bundles = [bring(home, f"another {number}", frames=12).bundle_in(home) for number in range(MOST)]
    ballast = folder / "ballast"
    log = home.with_name("processes.log")
    with ExitStack() as stack:
        if way == "owner":
            owner = Worker(log, jobs.own, home, None)
            owner.ready()
            stack.callback(owner.terminate)
        committed, refused = 0, None
        for bundle in bundles:
            # A quarter of the room for each: some fit, and then one does not, wherever DuckDB puts it.
            _fill(folder, ballast, leave=ROOM >> 2 * committed)
            try:
                Worker(log, jobs.commit, home, bundle).result()
            except BriError as error:
                refused = error
                break
            committed += 1
        ballast.unlink()
        again = Worker(log, jobs.commit, home, bundle).result()
    found = {
        "committed": committed,
        "error": str(refused),
        "named": isinstance(refused, StorageFailed),
        "again": again.version,
        "acknowledged": len(entries(home)),
        "broken": broken(home),
    }
    sys.stdout.write(json.dumps(found) + "\n")


def _fill(folder: Path, ballast: Path, leave: int) -> None:
    free = shutil.disk_usage(folder).free
    with ballast.open("ab") as file:
        file.write(b"\0" * max(0, free - leave))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
