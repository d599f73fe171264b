"""Labels of ledger lines, adjustments and channels, the same for every interface.

Apart from those of a state, because `worksub status` needs no charges.
"""

from collections.abc import Mapping

from subscription.adjustment import AdjustmentReason
from subscription.issuer import Channel
from subscription.ledger import LineKind

LINE_KINDS: Mapping[LineKind, str] = {
    LineKind.SERVICE_FEE: "Service fee",
    LineKind.DISCOUNT_REPAYMENT: "Repayment of the annual discount",
    LineKind.EARLY_TERMINATION_FEE: "Early-termination fee",
}

ADJUSTMENT_REASONS: Mapping[AdjustmentReason, str] = {
    AdjustmentReason.WRONG_CHARGE: "wrong charge",
    AdjustmentReason.SERVICE_OUTAGE: "service outage",
    AdjustmentReason.GOODWILL: "goodwill",
    AdjustmentReason.REVERSAL: "reversal",
}

CHANNELS: Mapping[Channel, str] = {
    Channel.CONSOLE: "Console",
    Channel.API: "API",
    Channel.OPERATOR: "NAVER WORKS support",
    Channel.CLI: "NAVER WORKS support, worksub",
    Channel.TEMPORAL: "NAVER WORKS support, Temporal",
    Channel.SIGNAL: "NAVER WORKS support, Temporal signal",
    Channel.BULK: "NAVER WORKS support, bulk run",
    Channel.SYSTEM: "Automatic",
}
