"""Domain verification: the DNS records to publish and the check schedule (R12, R13)."""

from datetime import datetime, timedelta

from subscription.business_calendar import Instant
from subscription.catalogue import DomainPolicy
from subscription.model import Frozen


class DomainClaim(Frozen):
    """A domain whose ownership this subscription has still to prove."""

    name: str
    token: str
    since: Instant
    next_look_at: Instant

    def looked_at(self, now: datetime, policy: DomainPolicy) -> "DomainClaim":
        """The claim after a look that found nothing; looks that were missed are not made up for (R13)."""
        return self.model_copy(update={"next_look_at": _first_look_after(now, self.since, policy)})


class DomainProof(Frozen):
    """The two records of which one is to be published at the domain (R12)."""

    domain: str
    txt_name: str
    txt_value: str
    cname_name: str
    cname_target: str


def proof_of(domain: str, token: str, cname_target: str) -> DomainProof:
    return DomainProof(
        domain=domain,
        txt_name=domain,
        txt_value=f"naver-works-verification={token}",
        cname_name=f"{token}.{domain}",
        cname_target=cname_target,
    )


def claim(name: str, token: str, now: datetime) -> DomainClaim:
    """A claim from now on, to be looked at at once (R13)."""
    return DomainClaim(name=name, token=token, since=now, next_look_at=now)


def last_look(claim: DomainClaim, now: datetime, policy: DomainPolicy) -> datetime | None:
    """When it was looked at by the schedule; None before the first look (R13)."""
    look, following = None, claim.since
    while following <= now:
        look, following = following, _first_look_after(following, claim.since, policy)
    return look


def _first_look_after(now: datetime, since: datetime, policy: DomainPolicy) -> datetime:
    elapsed, begun = now - since, timedelta(0)
    for stage in policy.looks:
        end = timedelta(hours=stage.up_to_hours)
        if elapsed < end:
            step = timedelta(minutes=stage.every_minutes)
            return since + min(begun + ((elapsed - begun) // step + 1) * step, end)
        begun = end
    step = timedelta(minutes=policy.then_every_minutes)
    return since + begun + ((elapsed - begun) // step + 1) * step
