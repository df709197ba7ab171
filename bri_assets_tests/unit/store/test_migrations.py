"""The migrated store is what the pandera models say, in both directions of the migration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from bri_assets.files import sha256_file
from bri_assets.schemas import STORE_TABLES, TableSpec
from bri_assets.schemas.ddl import comments, create_table
from bri_assets.store import StoreFile, migrations

COLUMNS = """SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns()
             WHERE table_name = ? ORDER BY column_index"""
CONSTRAINTS = """SELECT constraint_type, coalesce(expression, ''), constraint_column_names,
                        coalesce(referenced_table, '')
                 FROM duckdb_constraints() WHERE table_name = ? ORDER BY ALL"""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "bri.duckdb"
    with StoreFile(path).open():
        pass
    return path


@pytest.fixture(scope="module")
def modelled() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for spec in STORE_TABLES:
        connection.execute(create_table(spec))
        for comment in comments(spec):
            connection.execute(comment)
    return connection


@pytest.mark.parametrize("spec", STORE_TABLES, ids=lambda spec: spec.name)
def test_the_migrated_table_is_the_model(spec: TableSpec, migrated: Path, modelled: duckdb.DuckDBPyConnection) -> None:
    with StoreFile(migrated).open() as connection:
        for question in (COLUMNS, CONSTRAINTS):
            found = connection.execute(question, [spec.name]).fetchall()
            assert found == modelled.execute(question, [spec.name]).fetchall()
            assert found


def test_no_table_is_without_a_model(migrated: Path) -> None:
    with StoreFile(migrated).open() as connection:
        tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert tables - {"alembic_version"} == {spec.name for spec in STORE_TABLES}


def test_the_views_show_the_columns_of_the_models(migrated: Path) -> None:
    with StoreFile(migrated).open() as connection:
        for spec in (spec for spec in STORE_TABLES if spec.name in ("frames", "captions", "transcripts", "detections")):
            found = [row[0] for row in connection.execute(f"DESCRIBE v_{spec.name}").fetchall()]
            assert found == ["video_id", *(column.name for column in spec.columns)]


def test_the_history_names_each_migration_with_its_checksum(migrated: Path) -> None:
    with StoreFile(migrated).open() as connection:
        rows: list[Any] = connection.execute("SELECT version, checksum FROM schema_migrations").fetchall()
    config = Config()
    config.set_main_option("script_location", "bri_assets.store:migrations")
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert sorted(rows) == sorted((script.revision, sha256_file(Path(script.path))) for script in scripts)
    assert max(script.revision for script in scripts) == migrations.HEAD


def test_down_and_up_again(tmp_path: Path) -> None:
    path = tmp_path / "bri.duckdb"
    migrations.upgrade(path)
    migrations.downgrade(path, "base")
    with duckdb.connect(str(path)) as connection:
        left = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        assert left == [("alembic_version",)]
        assert connection.execute("SELECT count(*) FROM duckdb_sequences()").fetchone() == (0,)
    migrations.upgrade(path)
    with StoreFile(path).open() as connection:
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchall() == [(migrations.HEAD,)]
