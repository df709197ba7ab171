"""A table's pandera model as Dagster shows it: ``dagster/column_schema``."""

from __future__ import annotations

import dagster as dg

from bri_assets.schemas import TableSpec

__all__ = ["column_schema"]


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
