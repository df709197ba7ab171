"""Migrations of the store: Alembic's revisions in ``versions/``, each frozen SQL, numbered from 0001.

What does not belong here: the shape that the tables should have today (``schemas``); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import duckdb

from bri_assets.errors import StoreDamaged, StoreOutdated, StoreTooNew
from bri_assets.store.access.duck import attach_encrypted, damaged

__all__ = ["HEAD", "WITH_BACKUPS", "downgrade", "known", "require_current", "revision_of", "upgrade"]

#: The newest revision that this version of the package knows.
HEAD = "0004"

#: The first revision that has the table ``backups``.
WITH_BACKUPS = "0002"


#: What is done with the open transaction of a migration.
Then = Callable[[Any], None]


def known() -> list[str]:
    """The revisions that this version of the package knows, oldest first."""
    return sorted(file.name[:4] for file in files(__name__).joinpath("versions").iterdir() if file.name[:4].isdigit())


def upgrade(path: Path, revision: str = "head", *, key: str | None = None, then: Then | None = None) -> None:
    """Bring a database file to a newer revision; the file is made when it is not there. Nobody may have it open.

    Args:
        path: the DuckDB file.
        revision: Alembic's name of it.
        key: of an encrypted store.
        then: what else belongs to it, in the same transaction.

    Raises:
        StoreDamaged: a migration failed; the store is as it was.
    """
    _migrate(path, revision, "upgrade", key, then)


def downgrade(path: Path, revision: str, *, key: str | None = None, then: Then | None = None) -> None:
    """Bring a database file back to an older revision, losing what that one cannot hold. Nobody may have it open.

    Args:
        path: the DuckDB file.
        revision: Alembic's name of it; ``base`` is before the first.
        key: of an encrypted store.
        then: what else belongs to it, in the same transaction.

    Raises:
        StoreDamaged: a migration failed; the store is as it was.
    """
    _migrate(path, revision, "downgrade", key, then)


def _migrate(
    path: Path, revision: str, direction: Literal["upgrade", "downgrade"], key: str | None, then: Then | None
) -> None:
    # Alembic costs a third of a second to import, and an ordinary open needs none of it.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", "bri_assets.store:migrations")
    engine = create_engine("duckdb:///:memory:" if key else f"duckdb:///{path}", poolclass=NullPool)
    if key is not None:
        event.listen(engine, "connect", lambda connection, _record: attach_encrypted(connection, path, key))
    # DuckDB cannot replay a write-ahead log that makes or drops tables with such constraints (1.5.6): a process that
    # dies between COMMIT and checkpoint would leave a store that never opens again. With no threshold COMMIT is the
    # checkpoint, and there is no log.
    event.listen(engine, "connect", lambda connection, _record: connection.execute("SET checkpoint_threshold = '0B'"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            getattr(command, direction)(config, revision)
            if then is not None:
                then(connection.connection.driver_connection)
    except RuntimeError as error:
        raise StoreDamaged(path, f"cannot go to {revision}: {error}.", "The store is as it was before.") from error
    except (SQLAlchemyError, duckdb.Error) as error:
        if "encrypt" in str(error):
            raise damaged(path, error) from error
        said = str(error).splitlines()[0]
        remedy = "The store is as it was before; report the message with the version of bri-assets."
        raise StoreDamaged(path, f"the {direction} to {revision} failed: {said}.", remedy) from error
    finally:
        engine.dispose()


def revision_of(connection: duckdb.DuckDBPyConnection) -> str:
    """The newest revision of a store that is open; `0000` where none was applied.

    Raises:
        duckdb.CatalogException: it is not a store.
    """
    return str(connection.execute("SELECT coalesce(max(version), '0000') FROM schema_migrations").fetchall()[0][0])


def require_current(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse a store that this version of the package does not fit.

    Raises:
        StoreOutdated: it is older; says what to run.
        StoreTooNew: it is newer.
        StoreDamaged: it has no history of migrations.
    """
    try:
        found = revision_of(connection)
    except duckdb.CatalogException as error:
        remedy = "Move it away and restore a backup, or let a new store be made."
        raise StoreDamaged(
            path, "is a database, but not a store of BRI (it has no schema_migrations).", remedy
        ) from error
    if found == HEAD:
        return
    if found < HEAD:
        raise StoreOutdated(path, f"has revision {found}, this program needs {HEAD}.", "Run `bri migrate`.")
    raise StoreTooNew(
        path, f"has revision {found}, this program knows no further than {HEAD}.", "Install the newer bri-assets again."
    )
