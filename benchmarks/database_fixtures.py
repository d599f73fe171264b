"""Bulk creation of subscriptions in the database.

One template subscription is run by the rules and recorded by the service's own activities. The database then
copies its rows with other IDs, names and customers.
"""

import hashlib
from datetime import date, datetime, timedelta
from uuid import UUID

from activities.provisioning import ProvisioningActivities
from activities.transitions import TransitionActivities
from adapters.email.notice_emails import NoticeEmails
from adapters.postgres.pool import Pool
from adapters.postgres.workspace_provisioner import PostgresWorkspaceProvisioner
from benchmarks.implementations import fields
from subscription.activity_contracts import Provisioned, ProvisionInput, Recorded, Transition
from subscription.apply import apply_all
from subscription.business_calendar import add_months, first_of_month, start_of
from subscription.catalogue import PriceBook
from subscription.commands import SwitchToPaid
from subscription.contract import ContractTerm
from subscription.decide import Decision, decide
from subscription.due_events import next_due_event
from subscription.events import Event
from subscription.state import Subscription

TEMPLATE = UUID(int=0)
_NAME, _CUSTOMER = "template-subscription", "customer-of-the-template"
SUBSCRIPTIONS_A_CUSTOMER = 2

_TABLES = """
    SELECT table_name FROM information_schema.tables AS kept
     WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
       AND table_name NOT IN ('customer_events', 'notice_emails')
       AND EXISTS (SELECT 1 FROM information_schema.columns AS its
                    WHERE its.table_name = kept.table_name AND column_name = 'subscription_id')
       AND NOT EXISTS (SELECT 1 FROM information_schema.columns AS its
                        WHERE its.table_name = kept.table_name AND is_identity = 'YES')
     ORDER BY array_position(ARRAY['subscriptions', 'lifecycle_events', 'ledger_lines'], table_name::text)
"""
_COPY = """
    INSERT INTO {table}
    SELECT copied.*
      FROM (SELECT to_json(stored)::text AS document
              FROM {table} AS stored WHERE subscription_id = $1) AS source,
           generate_series($4::integer, $5::integer) AS number,
           LATERAL json_populate_record(
               NULL::{table},
               replace(replace(replace(document, $1, md5('subscription' || number)::uuid::text),
                               $2, left(md5('name' || number), 22)),
                       $3, 'customer-' || number / $6::integer)::json
           ) AS copied
"""


def id_of(number: int) -> str:
    """Return the ID of a copy. The IDs are evenly distributed, like those of requests."""
    return str(UUID(hashlib.md5(f"subscription{number}".encode(), usedforsecurity=False).hexdigest()))


async def create_template(pool: Pool, book: PriceBook, today: date, months: int) -> Subscription:
    """Create a subscription with an annual contract, recorded by the service's own activities.

    It switched to paid `months` before the current month. Everything due before the current month is posted.
    """
    month = first_of_month(today)
    paid_from = add_months(month, -months)
    begun = start_of(paid_from) - timedelta(days=10)
    workspaces = PostgresWorkspaceProvisioner(pool)
    provisioning = ProvisioningActivities(pool, workspaces, NoticeEmails(), allow_simulation=False)
    request = fields(book) | {"request_id": str(TEMPLATE), "customer_id": _CUSTOMER}
    request["account"] = {"group": _NAME}
    provisioned = await provisioning.provision_subscription(
        ProvisionInput(subscription_id=str(TEMPLATE), request=request, accepted_at=begun)
    )
    assert isinstance(provisioned, Provisioned)
    template = _TemplateWriter(
        TransitionActivities(pool, workspaces, NoticeEmails()), provisioned.state, book
    )
    await template.switch(SwitchToPaid(date=paid_from, term=ContractTerm.ANNUAL), begun + timedelta(hours=1))
    while event := next_due_event(template.state, start_of(month), book):
        await template.record((event,))
    return template.state


async def copy_template(owner: Pool, numbers: range) -> list[str]:
    """Copy the template's rows in every table and return the ids of the copies.

    The template itself also remains. A trigger numbers the copied events of each customer (customer_events).
    """
    async with owner.acquire() as connection, connection.transaction():
        for row in await connection.fetch(_TABLES):
            await connection.execute(
                _COPY.format(table=row["table_name"]),
                *(str(TEMPLATE), _NAME, _CUSTOMER),
                *(numbers.start, numbers.stop - 1, SUBSCRIPTIONS_A_CUSTOMER),
            )
    return [id_of(number) for number in numbers]


class _TemplateWriter:
    def __init__(self, recording: TransitionActivities, state: Subscription, book: PriceBook) -> None:
        self._recording, self.state, self._book = recording, state, book

    async def switch(self, command: SwitchToPaid, now: datetime) -> None:
        decision = decide(self.state, command, now, self._book)
        assert isinstance(decision, Decision)
        await self.record(decision.events)

    async def record(self, events: tuple[Event, ...]) -> None:
        after = apply_all(self.state, events)
        recorded = await self._recording.record_transition(
            Transition(
                subscription_id=after.subscription_id,
                first_sequence=self.state.sequence + 1,
                events=events,
                state=after,
                revision=self._book.revision,
            )
        )
        assert isinstance(recorded, Recorded)
        self.state = after
