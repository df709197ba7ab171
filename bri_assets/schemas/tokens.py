"""Who may call the server: ``tokens``."""

from __future__ import annotations

from pandera.typing.pandas import Series

from bri_assets.schemas.base import TableModel, UtcTime, column

__all__ = ["NAME", "Tokens"]

#: What the name of a token looks like; it stands in the audit log behind `api/`.
NAME = r"^[A-Za-z0-9._-]{1,64}$"


class Tokens(TableModel):
    """Who may call the server and what for, one row a token; of its secret only the hash, which leads nowhere back."""

    token_id: Series[str] = column(
        "The token's id: 't-' and the first 16 digits of its hash.", str_matches=r"^t-[0-9a-f]{16}$"
    )
    name: Series[str] = column("Whose it is; one token that is not revoked has the name.", str_matches=NAME)
    sha256: Series[str] = column("SHA-256 of its secret.", str_matches=r"^[0-9a-f]{64}$", unique=True)
    scope: Series[str] = column(
        "What it allows: `read`; `write`, which includes it; `admin`, which includes both.",
        isin=["read", "write", "admin"],
    )
    expires_at: Series[UtcTime] = column("When it ends, UTC; null where it does not.", nullable=True)
    revoked_at: Series[UtcTime] = column("When it was revoked, UTC; null while it is not.", nullable=True)
    created_at: Series[UtcTime] = column("When it was made, UTC.")
    created_by: Series[str] = column("Who made it.")
    updated_at: Series[UtcTime] = column("When the row was last changed, UTC.")
    updated_by: Series[str] = column("Who last changed the row.")
