"""What is said about the code is what the code says: generated pages, descriptions, and Dagster's column metadata."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from bri_assets.assets.metadata import column_schema
from bri_assets.definitions import defs
from bri_assets.schemas import STAGED_TABLES, STORE_TABLES, TableSpec
from bri_assets.settings import Settings
from bri_assets.store import StoreFile
from bri_assets_tests.commands import ROOT

DOCS = ROOT / "docs"
GENERATED = ("schema.md", "configuration.md")

#: Pages that people write, and whose links must lead somewhere.
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with StoreFile(tmp_path_factory.mktemp("store") / "bri.duckdb").open() as connection:
        yield connection


def generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCS / "generate.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_generated_pages_are_up_to_date() -> None:
    done = generate("--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", GENERATED)
def test_a_page_that_differs_is_named_and_a_check_writes_nothing(tmp_path: Path, name: str) -> None:
    for page in GENERATED:
        shutil.copy(DOCS / page, tmp_path)
    outdated = (tmp_path / name).read_text().replace("| `", "| `old_", 1)
    (tmp_path / name).write_text(outdated)
    done = generate(tmp_path, "--check")
    assert done.returncode == 1
    assert done.stderr == f"{name} is out of date: run `make docs`.\n"
    assert (tmp_path / name).read_text() == outdated
    assert generate(tmp_path).returncode == 0
    assert (tmp_path / name).read_text() == (DOCS / name).read_text()


def test_every_table_column_and_view_stands_on_the_page(database: duckdb.DuckDBPyConnection) -> None:
    sections = dict(re.findall(r"^###? (\w+)\n(.*?)(?=^## |^### |\Z)", (DOCS / "schema.md").read_text(), re.M | re.S))
    columns = database.execute("SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    tables = {table for table, _ in columns} - {"alembic_version"}
    assert tables == sections.keys() - {"Views"}
    assert tables >= {spec.name for spec in STORE_TABLES}
    assert [pair for pair in columns if pair[0] in tables and f"`{pair[1]}`" not in sections[pair[0]]] == []


def test_every_setting_has_a_description_and_stands_on_the_page() -> None:
    page = (DOCS / "configuration.md").read_text()
    for name, field in Settings.model_fields.items():
        assert len(field.description or "") > 10, name
        assert f"| `BRI_{name.upper()}` |" in page
        assert (field.description or "") in page


@pytest.mark.parametrize("spec", STAGED_TABLES.values(), ids=STAGED_TABLES)
def test_dagsters_columns_agree_with_the_model_and_the_database(
    database: duckdb.DuckDBPyConnection, spec: TableSpec
) -> None:
    shown = {column.name: column for column in column_schema(spec).columns}
    model = spec.model.to_schema().columns
    assert list(shown) == list(model)
    assert {name: column.description for name, column in shown.items()} == {
        name: column.description for name, column in model.items()
    }
    assert all(column.description for column in shown.values())
    stored = database.execute(
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE table_name = ?",
        [spec.name if spec.versioned else "videos"],
    ).fetchall()
    in_database = {name: (kind, nullable) for name, kind, nullable in stored if name in shown}
    assert {name: (column.type, column.constraints.nullable) for name, column in shown.items()} == in_database
    assert {name: column.constraints.nullable for name, column in shown.items()} == {
        name: column.nullable for name, column in model.items()
    }


@pytest.mark.parametrize("spec", STAGED_TABLES.values(), ids=STAGED_TABLES)
def test_dagsters_ui_is_given_the_columns_and_the_meaning(spec: TableSpec) -> None:
    asset = defs.resolve_asset_graph().get(dg.AssetKey(spec.name))
    assert asset.metadata["dagster/column_schema"] == column_schema(spec)
    assert spec.meaning in " ".join((asset.description or "").split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
