"""The account name of a subscription: a group name or a domain name (R4)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from subscription import account_names
from subscription.model import Frozen, Wire
from subscription.refusals import RefusalCode, validation_error


class AccountKind(StrEnum):
    GROUP = "GROUP"
    DOMAIN = "DOMAIN"


class Account(Frozen):
    """The account name of a subscription. Its kind is stored and never derived from the name (R4)."""

    kind: AccountKind
    name: str


class AccountName(Wire):
    """`{"group": …}` or `{"domain": …}`: exactly one of the two (R4)."""

    group: Annotated[str, AfterValidator(account_names.group_name)] | None = None
    domain: Annotated[str, AfterValidator(account_names.customer_domain)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.group is None) == (self.domain is None):
            raise validation_error(RefusalCode.INVALID_VALUE, reason="GROUP_OR_DOMAIN")
        return self

    @property
    def account(self) -> Account:
        if self.group is not None:
            return Account(kind=AccountKind.GROUP, name=self.group)
        assert self.domain is not None
        return Account(kind=AccountKind.DOMAIN, name=self.domain)
