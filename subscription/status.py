"""Public view of a subscription's state."""

from subscription.business_calendar import Instant
from subscription.contract import Contract, ContractTerm, RenewalTerms
from subscription.deadlines import Deadline, next_deadline
from subscription.domain_verification import DomainPolicy, VerificationRecords, verification_records
from subscription.model import Frozen
from subscription.state import Access, Reservation, State, Subscription


class Status(Frozen):
    """The public status. `account` is the confirmation of a cancellation (R27).

    `proofs` are the DNS records to publish. `domain_lost`: the domain was verified elsewhere first (R12).
    """

    subscription_id: str
    customer_id: str
    state: State
    access: Access
    account: str | None
    domain_lost: bool
    plan: str
    members: int
    term: ContractTerm | None
    contract: Contract | None
    renewal: RenewalTerms | None
    reservation: Reservation | None
    started_at: Instant | None
    trial_ends_at: Instant | None
    grace_ends_at: Instant | None
    next: Deadline | None
    proofs: tuple[VerificationRecords, ...]


def status_of(state: Subscription, policy: DomainPolicy) -> Status:
    return Status(
        subscription_id=state.subscription_id,
        customer_id=state.customer_id,
        state=state.state,
        access=state.access,
        account=state.admin_account,
        domain_lost=state.domain_lost,
        plan=state.plan,
        members=state.members,
        term=state.contract.term if state.contract else None,
        contract=state.contract,
        renewal=state.renewal,
        reservation=state.reservation,
        started_at=state.started_at,
        trial_ends_at=state.trial_ends_at,
        grace_ends_at=state.grace_ends_at,
        next=next_deadline(state),
        proofs=tuple(
            verification_records(domain.name, domain.token, policy.cname_target)
            for domain in state.pending_domains
        ),
    )
