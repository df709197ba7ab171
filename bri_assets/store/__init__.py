"""The committed store: DuckDB, versions, proofs and the one commit.

Knows no model, no media and no Dagster. ``store.Store`` is the door; the rest is behind it.
"""

from bri_assets.store.archive import Archive
from bri_assets.store.backups import Backups
from bri_assets.store.commit import CommittedVersion
from bri_assets.store.compact import Compaction
from bri_assets.store.connection import StoreFile
from bri_assets.store.deletion import Deletion
from bri_assets.store.drill import Drill
from bri_assets.store.history import History
from bri_assets.store.holdings import Holdings
from bri_assets.store.orphans import Orphans
from bri_assets.store.proofs import PROOFS, ProofResult
from bri_assets.store.purge import Purge
from bri_assets.store.store import Store
from bri_assets.store.uploads import Claim, ClaimResult, NewUpload, PendingUpload

#: Every group of operations.
GROUPS = (Store, History, Deletion, Purge, Archive, Orphans, Backups, Drill, Compaction, Holdings)

__all__ = [
    "GROUPS",
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
