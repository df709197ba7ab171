"""Opening the store: one process at a time, and files that are not ours are refused with what to do."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from bri_assets.errors import StoreBusy, StoreDamaged, StoreOutdated, StoreTooNew
from bri_assets.store import StoreFile


def test_a_second_opener_waits_and_then_says_that_the_store_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "bri.duckdb"
    with StoreFile(path).open(), pytest.raises(StoreBusy, match="BRI_STORE_WAIT_S") as caught:
        StoreFile(path, wait_s=0.2).open().__enter__()
    assert caught.value.retryable


def test_a_file_that_another_process_opened_without_our_lock_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "bri.duckdb"
    with StoreFile(path).open():
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    with pytest.raises(StoreBusy):
        StoreFile(path, wait_s=0.3).open().__enter__()
    holder.communicate("\n")
    with StoreFile(path, wait_s=10).open() as connection:
        assert connection.execute("SELECT count(*) FROM uploads").fetchone() == (0,)


def test_writers_of_several_processes_wait_for_each_other(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from bri_assets.store import NewUpload, Store, StoreFile
        from bri_assets.staging import StagingArea
        home, name = Path(sys.argv[1]), sys.argv[2]
        store = Store(home, StoreFile(home / "store" / "bri.duckdb", 60), StagingArea(home / "staged"))
        for i in range(10):
            upload = NewUpload(f"/{name}/{i}", "x", "1:1:1:1:1", 1, None, None)
            store.quarantine(upload, code="empty", reason="is empty.", requested_by="test")
        """
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with StoreFile(tmp_path / "store" / "bri.duckdb").open() as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT path) FROM uploads").fetchone() == (30, 30)
        assert connection.execute("SELECT count(DISTINCT event_id) FROM audit_log").fetchone() == (30,)


@pytest.mark.parametrize("content", [b"this is no database", b"\0" * 20_000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bri.duckdb"
    path.write_bytes(content)
    with pytest.raises(StoreDamaged):
        StoreFile(path).open().__enter__()
    assert path.read_bytes() == content


def test_a_database_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bri.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE theirs (i INTEGER)")
    with pytest.raises(StoreDamaged, match="not a store of BRI"):
        StoreFile(path).open().__enter__()


@pytest.mark.parametrize(
    ("version", "error", "remedy"), [("0000", StoreOutdated, "bri migrate"), ("9999", StoreTooNew, "Install")]
)
def test_a_store_of_another_version_is_refused(
    tmp_path: Path, version: str, error: type[Exception], remedy: str
) -> None:
    path = tmp_path / "bri.duckdb"
    with StoreFile(path).open() as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version > '0001'")
        connection.execute("UPDATE schema_migrations SET version = ?", [version])
    with pytest.raises(error, match=remedy):
        StoreFile(path).open().__enter__()


def test_the_store_never_reaches_for_the_network(tmp_path: Path) -> None:
    with StoreFile(tmp_path / "bri.duckdb").open() as connection:
        settings = connection.execute(
            "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions' ORDER BY name"
        ).fetchall()
    assert settings == [("autoinstall_known_extensions", "false"), ("autoload_known_extensions", "false")]
