"""Domain verification: the DNS records to publish and the check schedule (R12, R13)."""

from datetime import datetime, timedelta

from subscription.business_calendar import Instant
from subscription.catalogue import DomainPolicy
from subscription.model import Frozen


class PendingDomain(Frozen):
    """A domain whose ownership is not yet verified."""

    name: str
    token: str
    since: Instant
    next_check_at: Instant

    def after_failed_check(self, now: datetime, policy: DomainPolicy) -> "PendingDomain":
        """Return the domain with its next check scheduled. Missed checks are not repeated (R13)."""
        return self.model_copy(update={"next_check_at": _next_check_after(now, self.since, policy)})


class VerificationRecords(Frozen):
    """The TXT, the CNAME and the MX record; the customer publishes one of them (R12)."""

    domain: str
    txt_name: str
    txt_value: str
    cname_name: str
    cname_target: str
    mx_name: str
    mx_exchange: str


def verification_records(domain: str, token: str, cname_target: str) -> VerificationRecords:
    """Return the records that prove the ownership of a domain; the policy sets `cname_target`."""
    return VerificationRecords(
        domain=domain,
        txt_name=domain,
        txt_value=f"naver-works-verification={token}",
        cname_name=f"{token}.{domain}",
        cname_target=cname_target,
        mx_name=domain,
        mx_exchange=f"{token}.{cname_target}",
    )


def new_pending_domain(name: str, token: str, now: datetime) -> PendingDomain:
    """Return a pending domain whose first check is due immediately (R13)."""
    return PendingDomain(name=name, token=token, since=now, next_check_at=now)


def last_check_at(pending_domain: PendingDomain, now: datetime, policy: DomainPolicy) -> datetime | None:
    """Return the time of the last scheduled check; None before the first one (R13)."""
    last, following = None, pending_domain.since
    while following <= now:
        last, following = following, _next_check_after(following, pending_domain.since, policy)
    return last


def _next_check_after(now: datetime, since: datetime, policy: DomainPolicy) -> datetime:
    elapsed, begun = now - since, timedelta(0)
    for stage in policy.check_intervals:
        end = timedelta(hours=stage.up_to_hours)
        if elapsed < end:
            step = timedelta(minutes=stage.every_minutes)
            return since + min(begun + ((elapsed - begun) // step + 1) * step, end)
        begun = end
    step = timedelta(minutes=policy.then_every_minutes)
    return since + begun + ((elapsed - begun) // step + 1) * step
