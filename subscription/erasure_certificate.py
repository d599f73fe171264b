"""The certificate of an erasure (R31)."""

from collections.abc import Mapping

from subscription.business_calendar import Instant
from subscription.model import Frozen


class ErasureCertificate(Frozen):
    """The certificate of an erasure: its time, and the deleted rows of each table, verified (R31)."""

    subscription_id: str
    erased_at: Instant
    rows: Mapping[str, int]
