"""A table's pandera model as Dagster shows it: ``dagster/column_schema``.

What does not belong here: what is shown of the rows of one materialization (``previews``).
"""

from __future__ import annotations

import dagster as dg

from bri_assets.schemas import STORE_TABLES, TableSpec

__all__ = ["column_schema", "columns_of"]


def column_schema(spec: TableSpec) -> dg.TableSchema:
    """Columns with types, meanings and constraints, made from the table's model."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.sql_type,
                description=column.meaning,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=column.unique or spec.key == (column.name,),
                    other=[f"{name} {next(iter(values.values()), '')}" for name, values in column.checks],
                ),
            )
            for column in spec.columns
        ],
        constraints=dg.TableConstraints(other=list(spec.rules)),
    )


def columns_of(table: str) -> dict[str, dg.TableSchema]:
    """The metadata of an asset that writes to a table of the store.

    Args:
        table: its name.
    """
    (spec,) = [spec for spec in STORE_TABLES if spec.name == table]
    return {"dagster/column_schema": column_schema(spec)}
