"""The authenticated caller: a customer or an operator."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """A customer, or an operator of the service, who has access to all data."""

    customer_id: str | None

    @property
    def is_operator(self) -> bool:
        return self.customer_id is None

    def scoped(self, name: str) -> str:
        """Map an ID chosen by this caller to an ID that cannot equal the ID of another customer.

        IDs of operators are not changed, so that the API and `worksub --id` refer to the same IDs.
        """
        if self.customer_id is None:
            return name
        digest = hashlib.sha256(f"{len(self.customer_id)}:{self.customer_id}:{name}".encode()).hexdigest()
        return f"k-{digest[:48]}"


OPERATOR = Caller(None)
