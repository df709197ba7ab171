"""Imported once by the server that forks the processes of the fault suite, so that a process to kill costs no imports.

Nothing here opens a database, starts a thread or reads a setting.
"""

from __future__ import annotations

import gc
import importlib

import pandas as pd

from bri_assets.schemas import STAGED_TABLES, validate

__all__: list[str] = []

for name in (
    "alembic.command",
    "alembic.ddl",
    "bri_assets.serve.owner",
    "bri_assets.store",
    "bri_assets_tests.bundles",
    "duckdb_sqlalchemy",
    "httpx",
    "pandas",
    "pyarrow.parquet",
    "sqlalchemy",
    "uvicorn.protocols.http.auto",
):
    importlib.import_module(name)

# Checks of pandera are built when they are first used.
for spec in STAGED_TABLES.values():
    validate(spec, pd.DataFrame(columns=[column.name for column in spec.columns]))

# A page that no collection touches is shared by all that are forked.
gc.collect()
gc.freeze()
