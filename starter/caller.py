"""The authenticated caller: a customer or an operator."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """One customer, or the operators of the service, who see everything."""

    customer_id: str | None

    @property
    def is_operator(self) -> bool:
        return self.customer_id is None

    def scoped(self, name: str) -> str:
        """An id that this caller has chosen, apart from the same id of any other customer's.

        Operators' ids stay as they are, so that the API and `worksub --id` mean the same by them.
        """
        if self.customer_id is None:
            return name
        digest = hashlib.sha256(f"{len(self.customer_id)}:{self.customer_id}:{name}".encode()).hexdigest()
        return f"k-{digest[:48]}"
