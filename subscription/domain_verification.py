"""Domain verification: the DNS records to publish and the check schedule (R12, R13)."""

from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from subscription.account_names import domain_name
from subscription.business_calendar import Instant
from subscription.model import Frozen, Wire
from subscription.refusals import RefusalCode, validation_error

_YEAR_OF_MINUTES = 365 * 24 * 60


class CheckInterval(Wire):
    every_minutes: Annotated[int, Field(ge=1, le=_YEAR_OF_MINUTES)]
    up_to_hours: Annotated[int, Field(ge=1, le=10 * 365 * 24)]


class DomainPolicy(Wire):
    """The CNAME target and the check schedule for the verification of domains (R12, R13)."""

    cname_target: Annotated[str, AfterValidator(domain_name)] = "verify.worksmobile.example"
    # Catalogues written before 0.1.0 have the key `looks`.
    check_intervals: Annotated[
        tuple[CheckInterval, ...],
        Field(strict=False, max_length=20, validation_alias=AliasChoices("check_intervals", "looks")),
    ] = (
        CheckInterval(every_minutes=5, up_to_hours=1),
        CheckInterval(every_minutes=60, up_to_hours=72),
    )
    then_every_minutes: Annotated[int, Field(ge=1, le=_YEAR_OF_MINUTES)] = 1440

    @model_validator(mode="after")
    def _stages_follow_each_other(self) -> Self:
        bounds = [stage.up_to_hours for stage in self.check_intervals]
        if bounds != sorted(set(bounds)):
            raise validation_error(RefusalCode.INVALID_VALUE, reason="CHECK_INTERVALS_NOT_INCREASING")
        return self


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
