"""The committed store: DuckDB, versions, proofs and the one commit.

Knows no model, no media and no Dagster. ``store.Store`` is the door; the rest is behind it.
"""

from bri_assets.store.access.connection import StoreFile
from bri_assets.store.archives.archive import Archive
from bri_assets.store.archives.orphans import Orphans
from bri_assets.store.arrivals import Arrivals
from bri_assets.store.commit import CommittedVersion
from bri_assets.store.compaction.compact import Compaction
from bri_assets.store.consistency import Consistency
from bri_assets.store.deletion import Deletion
from bri_assets.store.erasure.holdings import Holdings
from bri_assets.store.erasure.purge import Purge
from bri_assets.store.health import Health
from bri_assets.store.history import History
from bri_assets.store.measured import Quality
from bri_assets.store.memory import Memory
from bri_assets.store.outbox.outbox import Outbox
from bri_assets.store.proofs import PROOFS, ProofResult
from bri_assets.store.queries.queries import Queries
from bri_assets.store.reconciliation import Reconciliation
from bri_assets.store.recovery.backups import Backups
from bri_assets.store.recovery.drill import Drill
from bri_assets.store.store import Store
from bri_assets.store.telemetry import Telemetry
from bri_assets.store.tokens import Tokens
from bri_assets.store.uploads import Claim, ClaimResult, NewUpload, PendingUpload
from bri_assets.store.verify import Verification

#: Every group of operations.
GROUPS = (
    Store,
    Queries,
    Arrivals,
    History,
    Deletion,
    Purge,
    Archive,
    Orphans,
    Backups,
    Drill,
    Compaction,
    Holdings,
    Outbox,
    Consistency,
    Quality,
    Telemetry,
    Reconciliation,
    Health,
    Verification,
    Memory,
    Tokens,
)

__all__ = [
    "GROUPS",
    "PROOFS",
    "Claim",
    "ClaimResult",
    "CommittedVersion",
    "Memory",
    "NewUpload",
    "Outbox",
    "PendingUpload",
    "ProofResult",
    "Queries",
    "Store",
    "StoreFile",
    "Tokens",
]
