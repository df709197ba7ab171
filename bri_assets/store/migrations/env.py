"""What Alembic runs to migrate: one transaction on the connection it is given, and our own history beside Alembic's."""

from __future__ import annotations

import getpass
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from sqlalchemy import text

from bri_assets.files import sha256_file

__all__: list[str] = []


def _record(ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]) -> None:
    """Write (upgrade) or remove (downgrade) the migration's row in ``schema_migrations``."""
    del heads, run_args
    assert ctx.connection is not None  # noqa: S101 - Alembic's type allows for offline mode, which we do not have
    if step.is_upgrade:
        script = step.up_revision
        assert isinstance(script, Script)  # noqa: S101 - a revision that is applied has its file
        values = {"version": script.revision, "name": script.doc, "checksum": sha256_file(Path(script.path))}
        insert = text("INSERT INTO schema_migrations VALUES (:version, :name, :checksum, now(), :who)")
        ctx.connection.execute(insert, values | {"who": getpass.getuser()})
    elif step.destination_revision_ids:
        delete = text("DELETE FROM schema_migrations WHERE version = :version")
        ctx.connection.execute(delete, {"version": step.source_revision_ids[0]})


context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=False,
    on_version_apply=_record,
)
with context.begin_transaction():
    context.run_migrations()
