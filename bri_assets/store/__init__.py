"""The committed store: DuckDB, versions, proofs and the one commit.

Knows no model, no media and no Dagster. ``store.Store`` is the door; the rest is behind it.
"""

from bri_assets.store.commit import CommittedVersion
from bri_assets.store.connection import StoreFile
from bri_assets.store.proofs import PROOFS, ProofResult
from bri_assets.store.store import Store
from bri_assets.store.uploads import Claim, ClaimResult, NewUpload, PendingUpload

__all__ = [
    "PROOFS",
    "Claim",
    "ClaimResult",
    "CommittedVersion",
    "NewUpload",
    "PendingUpload",
    "ProofResult",
    "Store",
    "StoreFile",
]
