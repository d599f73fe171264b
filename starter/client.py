"""The one way in: requests, commands and questions, typed, for everybody who asks."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from pydantic import ValidationError
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.database import Pool
from starter.finding import Finder, Found
from starter.read_model import Listed, ReadModel
from starter.selection import Selection, customer_is, state_is
from starter.test_clock import TestClock
from subscription.adjustment import Adjust, Adjustment
from subscription.answers import ID_REUSED
from subscription.calendar import KST, day_of
from subscription.catalogue import Term, required_terms
from subscription.commands import ContractTerm, read_command
from subscription.decide import decide
from subscription.effects import (
    WORKFLOW_ID_PREFIX,
    Answer,
    ErasureCertificate,
    RequestAnswer,
    TimelineEntry,
)
from subscription.explain import Explanation, explain
from subscription.forecast import Coming, Quote, quote_cancellation, upcoming
from subscription.invoice import Invoice
from subscription.ledger import LedgerLine
from subscription.model import Frozen
from subscription.outbox import NoticeState, OutboxNotice
from subscription.reconciliation import Reconciliation, ReportedFinding
from subscription.refusals import Code, Refused, RefusedError, refuse
from subscription.request import Account, Request, name_taken, read_request
from subscription.state import State, Subscription
from subscription.status import Status, status_of
from subscription.validation import check, problems_of
from subscription.wording import summary_words
from workflows.connection import TASK_QUEUE

# The server lets so many updates of one workflow wait at a time, and drops one that a new run overtakes.
# Sending it again is safe, for its id is its command's.
_TRY_AGAIN = (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.ABORTED)
_DROPPED = "workflow update was aborted"
"""What the server says then with UNAVAILABLE, the status of a server that is away."""
_BUSY_SECONDS = 0.5
_CUT_OFF = "AcceptedUpdateCompletedWorkflow"
_REQUEST_IDS = uuid.UUID("6f3c5b0e-6f0a-5d0b-9a55-6e6176657277")


class Availability(Frozen):
    """Whether an account name could be requested now; only a request takes it (R5)."""

    name: str
    kind: str
    available: bool


def subscription_id_for(request_id: str) -> str:
    """The same request id always means the same subscription, so that a request can be sent again (R9)."""
    return str(uuid.uuid5(_REQUEST_IDS, request_id))


class WorkflowLostError(Exception):
    """The record has the subscription as living, and this Temporal namespace has no workflow for it."""


class SubscriptionClient:
    """Requests, commands and questions about subscriptions.

    Every method raises `RefusedError` where the rules say no, `RPCError` or `OSError` where a server
    cannot be reached, and `RPCTimeoutOrCancelledError` where it went away in the middle.
    """

    def __init__(self, temporal: Client, pool: Pool, *, task_queue: str = TASK_QUEUE) -> None:
        self._temporal = temporal
        self._read = ReadModel(pool)
        self._finder = Finder(temporal, self._read)
        self._task_queue = task_queue

    # -- requesting (R1-R9) --------------------------------------------------------------------------

    async def check_name(self, account: Account) -> Availability:
        holder = await self._read.holder(account.name)
        return Availability(name=account.name, kind=account.kind, available=holder is None)

    async def request(self, data: Mapping[str, Any]) -> RequestAnswer:
        """Request a subscription; the answer comes when its trial has started (R9).

        `data` has the fields of `Request`. Sent again it gives the first answer again.
        """
        while True:
            if (first := await self._first_answer(data)) is not None:
                return first
            request = await self._judged(data)
            try:
                answer = await self._start(data, request)
            except RefusedError as refusal:
                # The same request may have been accepted a moment ago, from another process or by hand.
                if refusal.refused.code is not Code.REQUEST_ID_REUSED:
                    raise
                if (first := await self._first_answer(data)) is not None:
                    return first
                raise
            if answer is not None:
                return answer

    async def _first_answer(self, data: Mapping[str, Any]) -> RequestAnswer | None:
        """The answer to a request that was accepted before, whatever has changed since (R9)."""
        try:
            request = check(Request, dict(data))
        except ValidationError:
            return None
        earlier = await self._read.request(request.request_id)
        if earlier is None:
            return None
        if earlier.fingerprint not in (None, request.fingerprint()):
            raise refuse(
                Code.REQUEST_ID_REUSED,
                "This request_id was used for another request; choose a new one.",
                "request_id",
            )
        return earlier.answer

    async def check_request(self, data: Mapping[str, Any]) -> Refused | None:
        """All that is wrong with a request as things stand, without making it; None if nothing is."""
        try:
            if await self._first_answer(data) is None:
                await self._judged(data)
        except RefusedError as refusal:
            return refusal.refused
        return None

    async def _judged(self, data: Mapping[str, Any]) -> Request:
        """Refuse what can be refused before anything exists."""
        book = await self._read.price_book()
        simulated = data.get("simulated_at")
        now = datetime.fromisoformat(simulated) if isinstance(simulated, str) else datetime.now(UTC)
        request = read_request(dict(data), book, now)
        if isinstance(request, Refused):
            raise RefusedError(request)
        holder = await self._read.holder(request.account.account.name)
        if holder not in (None, subscription_id_for(request.request_id)):
            raise RefusedError(name_taken(request.account.account.kind))
        return request

    async def _start(self, data: Mapping[str, Any], request: Request) -> RequestAnswer | None:
        """None if an earlier, refused request under the same id was still being cleared away."""
        workflow_id = WORKFLOW_ID_PREFIX + subscription_id_for(request.request_id)
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            "SubscriptionWorkflow",
            dict(data),
            id=workflow_id,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=summary_words(request),
        )
        fingerprint = request.fingerprint()
        try:
            answer: RequestAnswer = await self._temporal.execute_update_with_start_workflow(
                "request",
                fingerprint,
                start_workflow_operation=start,
                id=fingerprint,
                result_type=RequestAnswer,
            )
        except WorkflowUpdateFailedError as error:
            refused = _refusal_in(error)
            if refused.code is not Code.SUBSCRIPTION_ENDED:
                raise RefusedError(refused) from None
            await self._temporal.get_workflow_handle(workflow_id).result()
            return None
        return answer

    # -- commands (R10-R29) --------------------------------------------------------------------------

    async def switch_to_paid(
        self,
        subscription_id: str,
        day: date,
        term: ContractTerm,
        *,
        plan: str | None = None,
        members: int | None = None,
        **carried: Any,
    ) -> Answer:
        argument = {"date": day.isoformat(), "term": term, "plan": plan, "members": members}
        return await self.command(subscription_id, "switch_to_paid", _given(argument) | carried)

    async def change_renewal_option(
        self,
        subscription_id: str,
        term: ContractTerm | None,
        *,
        plan: str | None = None,
        members: int | None = None,
        **carried: Any,
    ) -> Answer:
        argument = {"term": term} | _given({"plan": plan, "members": members})
        return await self.command(subscription_id, "change_renewal_option", argument | carried)

    async def upgrade(
        self,
        subscription_id: str,
        agreed_terms: Sequence[Mapping[str, str]],
        *,
        plan: str | None = None,
        members: int | None = None,
        term: ContractTerm | None = None,
        **carried: Any,
    ) -> Answer:
        argument = _given({"plan": plan, "members": members, "term": term})
        return await self.command(
            subscription_id, "upgrade", argument | {"agreed_terms": list(agreed_terms)} | carried
        )

    async def cancel(self, subscription_id: str, day: date, confirmation: str, **carried: Any) -> Answer:
        argument = {"date": day.isoformat(), "confirmation": confirmation}
        return await self.command(subscription_id, "cancel", argument | carried)

    async def withdraw_reservation(self, subscription_id: str, **carried: Any) -> Answer:
        return await self.command(subscription_id, "withdraw_reservation", carried)

    async def rename_account(self, subscription_id: str, account: Account, **carried: Any) -> Answer:
        return await self.command(
            subscription_id, "rename_account", {account.kind.lower(): account.name} | carried
        )

    async def check_domain(self, subscription_id: str, **carried: Any) -> Answer:
        return await self.command(subscription_id, "check_domain", carried)

    async def command(self, subscription_id: str, name: str, argument: Any) -> Answer:
        """Any command by its name on the wire; `id`, `by` and `at` may be among the fields (R22)."""
        if not isinstance(argument, Mapping) or argument.get("id") is None:
            return await self._update(subscription_id, name, argument, str(uuid.uuid4()))
        # Temporal answers any update of a known id as it did the first, whatever is asked, and a refusal
        # too. So the update id tells the command as well, and what was refused is judged anew (R22).
        update_id = _update_id(name, argument)
        try:
            return await self._update(subscription_id, name, argument, update_id)
        except RefusedError:
            return await self._update(subscription_id, name, argument, f"{update_id}/{uuid.uuid4()}")

    async def settle(self, subscription_id: str, at: datetime | None = None) -> None:
        """Return once all is done that is due by the subscription's own clock; at `at`, if simulated."""
        try:
            await self._update(
                subscription_id, "settle", {"at": at.isoformat()} if at else {}, str(uuid.uuid4())
            )
        except RefusedError as refusal:
            if refusal.refused.code is not Code.SUBSCRIPTION_ENDED:
                raise

    async def _update(self, subscription_id: str, name: str, argument: Any, update_id: str) -> Answer:
        while True:
            try:
                answer: Answer = await self._handle(subscription_id).execute_update(
                    name, argument, id=update_id, result_type=Answer
                )
            except WorkflowUpdateFailedError as error:
                if _was_cut_off(error):
                    await asyncio.sleep(_BUSY_SECONDS)
                    continue
                refused = _refusal_in(error)
                if refused.code is Code.SUBSCRIPTION_ENDED:
                    return await self._answer_from_the_record(subscription_id, name, argument, refused)
                raise RefusedError(refused) from None
            except RPCError as error:
                if error.status in _TRY_AGAIN or error.message == _DROPPED:
                    await asyncio.sleep(_BUSY_SECONDS)
                    continue
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return await self._answer_from_the_record(subscription_id, name, argument)
            return answer

    async def _answer_from_the_record(
        self, subscription_id: str, name: str, argument: Any, refused: Refused | None = None
    ) -> Answer:
        """No workflow is there to ask any more: the first answer again, or the refusal by the last state.

        `refused` is what the workflow said with its last breath, before the record said the same.
        """
        state = await self._snapshot(subscription_id)
        if isinstance(argument, Mapping) and isinstance(argument.get("id"), str):
            earlier = await self._read.answer(subscription_id, argument["id"])
            if earlier is not None and earlier.command == name:
                return earlier
            if earlier is not None:
                raise RefusedError(ID_REUSED)
        if name == "settle":
            raise refuse(Code.SUBSCRIPTION_ENDED, "The subscription has ended.")
        command = read_command(name, argument)
        if isinstance(command, Refused):
            raise RefusedError(command)
        decision = decide(state, command, datetime.now(KST), await self._read.price_book())
        if isinstance(decision, Refused):
            raise RefusedError(decision)
        if refused is not None:
            raise RefusedError(refused)
        raise WorkflowLostError(
            f"By the record subscription {subscription_id} is {state.state}, "
            "but Temporal has no workflow for it."
        )

    # -- ledgers and invoices ------------------------------------------------------------------------

    async def adjust(self, data: Mapping[str, Any]) -> Adjustment:
        """Correct a ledger line by a compensating one; `data` has the fields of `Adjust`.

        Works for subscriptions that have ended too. Sent again it gives the first answer again.
        """
        try:
            wanted = check(Adjust, dict(data))
        except ValidationError as error:
            raise RefusedError(_unreadable("The adjustment", error)) from None
        try:
            adjustment: Adjustment = await self._temporal.execute_workflow(
                "AdjustmentWorkflow",
                wanted,
                id=f"adjustment-{wanted.subscription_id}-{wanted.id}",
                task_queue=self._task_queue,
                result_type=Adjustment,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"{wanted.reason} {wanted.reference}: {wanted.amount:,} KRW",
            )
        except WorkflowFailureError as error:
            raise RefusedError(_refusal_in(error)) from None
        return adjustment

    async def adjustments(self, subscription_id: str) -> list[Adjustment]:
        await self._snapshot(subscription_id)
        return await self._read.adjustments(subscription_id)

    async def invoice(self, number: str) -> Invoice:
        invoice = await self._read.invoice(number)
        if invoice is None:
            raise refuse(Code.INVOICE_NOT_FOUND, "There is no invoice with that number.", "number")
        return invoice

    async def invoices(
        self,
        *,
        customer_id: str | None = None,
        month: date | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Invoice]:
        """Invoices in the order of their numbers; `month` is the first day of one."""
        return await self._read.invoices(customer_id=customer_id, month=month, after=after, limit=limit)

    # -- notices -------------------------------------------------------------------------------------

    async def notice(self, number: int) -> OutboxNotice:
        notice = await self._read.notice(number)
        if notice is None:
            raise refuse(Code.NOTICE_NOT_FOUND, "There is no notice with that number.", "number")
        return notice

    async def notices(
        self,
        *,
        state: NoticeState | None = None,
        subscription_id: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> list[OutboxNotice]:
        """What customers were told, or will be, in the order of the notices' numbers."""
        return await self._read.notices(
            state=state, subscription_id=subscription_id, after=after, limit=limit
        )

    # -- what the nightly comparison has found -------------------------------------------------------

    async def reconciliation(self, run: str | None = None) -> Reconciliation:
        """This run of the job, or the newest one."""
        found = await self._read.reconciliation(run)
        if found is None:
            message = "There is no run of that name." if run else "Nothing has been reconciled yet."
            raise refuse(Code.RECONCILIATION_NOT_FOUND, message, "run" if run else None)
        return found

    async def findings(self, run: str, *, limit: int = 1000) -> list[ReportedFinding]:
        """First what is left for somebody to look at, then what was repaired."""
        return await self._read.findings(run, limit=limit)

    # -- questions -----------------------------------------------------------------------------------

    async def status(self, subscription_id: str) -> Status:
        state = await self._snapshot(subscription_id)
        return status_of(state, (await self._read.price_book()).domain_policy)

    async def timeline(self, subscription_id: str) -> list[TimelineEntry]:
        await self._snapshot(subscription_id)
        return await self._read.timeline(subscription_id)

    async def ledger(self, subscription_id: str) -> list[LedgerLine]:
        await self._snapshot(subscription_id)
        return await self._read.ledger(subscription_id)

    async def explain(self, subscription_id: str, key: str | None = None) -> list[Explanation]:
        """Every ledger line taken apart, or the one with this key."""
        lines = [line for line in await self.ledger(subscription_id) if key in (None, line.key)]
        if key is not None and not lines:
            raise refuse(Code.LINE_NOT_FOUND, "The ledger has no line with that key.", "key")
        return [explain(line) for line in lines]

    async def quote_cancellation(self, subscription_id: str, day: date) -> Quote:
        """What cancelling on `day` would cost, by the subscription's own clock (R28, R33)."""
        state = await self._snapshot(subscription_id)
        quote = quote_cancellation(state, day, await self._now(state), await self._read.price_book())
        if isinstance(quote, Refused):
            raise RefusedError(quote)
        return quote

    async def upcoming(self, subscription_id: str) -> tuple[Coming, ...]:
        """The next things that will happen if nothing is asked."""
        state = await self._snapshot(subscription_id)
        if state.state.over:
            return ()
        return upcoming(state, await self._now(state), await self._read.price_book())

    async def required_terms(self, subscription_id: str) -> tuple[Term, ...]:
        """The terms of service that an upgrade must agree to now, by the subscription's own clock (R25)."""
        today = day_of(await self._now(await self._snapshot(subscription_id)))
        catalogue = (await self._read.price_book()).in_force(today)
        return required_terms(catalogue) if catalogue else ()

    async def certificates(self, subscription_id: str) -> list[ErasureCertificate]:
        return await self._read.certificates(subscription_id)

    async def list(
        self,
        *,
        state: State | None = None,
        customer_id: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> list[Listed]:
        """Subscriptions in the order of their ids, those after the id `after`."""
        selection = (state_is(state) if state else ()) + (customer_is(customer_id) if customer_id else ())
        return await self._read.list(selection, after=after, limit=limit)

    async def find(
        self, selection: Selection = (), *, query: str | None = None, after: str = "", limit: int = 50
    ) -> Found:
        """A page of the subscriptions of which all conditions hold.

        With `query`, in Temporal's visibility query language, of the living ones alone. Raises
        `InvalidQueryError`.
        """
        if query is not None:
            return await self._finder.asked(query, selection, after=after, limit=limit)
        return await self._finder.selected(selection, after=after, limit=limit)

    def clock(self, subscription_id: str) -> TestClock:
        """The subscription's own clock (R33)."""
        return TestClock(self._temporal, WORKFLOW_ID_PREFIX + subscription_id)

    async def _now(self, state: Subscription) -> datetime:
        """The time by the subscription's own clock, and never before what has already happened."""
        if state.state.over:
            return datetime.now(KST)
        now = (await self.clock(state.subscription_id).now()).astimezone(KST)
        return max(now, state.last_at) if state.last_at else now

    async def _snapshot(self, subscription_id: str) -> Subscription:
        state = await self._read.snapshot(subscription_id)
        if state is None:
            raise _not_found()
        return state

    def _handle(self, subscription_id: str) -> WorkflowHandle[Any, Any]:
        return self._temporal.get_workflow_handle(WORKFLOW_ID_PREFIX + subscription_id)


def _update_id(name: str, argument: Mapping[str, Any]) -> str:
    body = json.dumps([name, argument], sort_keys=True, default=str)
    return f"{argument['id']}/{hashlib.sha256(body.encode()).hexdigest()[:16]}"


def _was_cut_off(error: WorkflowUpdateFailedError) -> bool:
    """Whether the workflow was terminated while it was at it: the one that takes its place is asked again."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == _CUT_OFF


def _refusal_in(error: WorkflowUpdateFailedError | WorkflowFailureError) -> Refused:
    """The refusal that the workflow raised; what is not one of ours is passed on as it is."""
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.details:
        return Refused.model_validate(cause.details[0])
    raise error


def _unreadable(what: str, error: ValidationError) -> Refused:
    problems = problems_of(error)
    said = "; ".join(f"{problem.field or 'it'} {problem.message}" for problem in problems)
    return Refused(
        code=Code.INVALID_ARGUMENT,
        message=f"{what} cannot be read: {said}.",
        field=problems[0].field,
        problems=problems,
    )


def _not_found() -> RefusedError:
    return refuse(Code.SUBSCRIPTION_NOT_FOUND, "There is no subscription with that id.", "subscription_id")


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
