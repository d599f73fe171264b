"""The journal: every document balances, and the sums of each month equal the ledger and the invoices."""

import asyncio
import csv
import io
from collections import Counter, defaultdict
from datetime import date

from support.api_client import ApiClient, open_api_server
from support.lock_waits import wait_for_blocked_sessions
from support.service_env import ServiceEnv

from subscription.journal import JournalAccount, JournalLine

from .test_invoices import closed, upgraded_in_march

_SUMS = """
    SELECT (SELECT sum(amount) FROM ledger_lines
             WHERE to_char(CASE kind WHEN 'SERVICE_FEE' THEN end_day - 1
                           ELSE (effective_at AT TIME ZONE 'Asia/Seoul')::date END, 'YYYY-MM') = $1),
           (SELECT sum(amount) FROM ledger_adjustments
             WHERE to_char(effective_at AT TIME ZONE 'Asia/Seoul', 'YYYY-MM') = $1),
           (SELECT sum(total) FROM invoices WHERE to_char(issued_on, 'YYYY-MM') = $1),
           (SELECT sum(vat) FROM invoices WHERE to_char(issued_on, 'YYYY-MM') = $1)
"""


async def lines_of(operator: ApiClient, month: date) -> list[JournalLine]:
    """Return the journal of the API, which has the same lines in both formats."""

    async def text(**query: str) -> str:
        answer = await operator.http.get("/v1/journal", params={"month": f"{month:%Y-%m}", **query})
        assert answer.status_code == 200, answer.text
        return answer.text

    lines = [JournalLine.model_validate_json(line) for line in (await text(format="jsonl")).splitlines()]
    assert list(csv.DictReader(io.StringIO(await text()))) == [
        {name: "" if value is None else str(value) for name, value in line} for line in lines
    ]
    return lines


async def third_journal_is_refused(env: ServiceEnv, operator: ApiClient) -> None:
    """Two journals of a key wait for the ledger, and the next one is refused until they have ended."""
    async with asyncio.TaskGroup() as group, env.owner.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE ledger_lines IN ACCESS EXCLUSIVE MODE")
        for _ in range(2):
            group.create_task(lines_of(operator, date(2026, 3, 1)))
        await wait_for_blocked_sessions(env.owner, 2, query="AND end_day > $1")
        assert (await operator.gets("/journal", 429, month="2026-03"))["code"] == "RATE_LIMITED"
    assert (await operator.http.get("/v1/journal", params={"month": "2026-03"})).status_code == 200


async def test_journal_of_each_month_equals_ledger_and_invoices(isolated_env: ServiceEnv) -> None:
    """R21's example: 16,258 and 39,483 KRW in March, a credit of 9,483 KRW, and the invoice with its VAT."""
    subscription = await upgraded_in_march(isolated_env, customer_id="C-1")
    await isolated_env.client.adjust(
        {
            "subscription_id": subscription.id,
            "id": "T-4711",
            "key": f"{subscription.id}/SERVICE_FEE/2026-03-15",
            "amount": -9_483,
            "reason": "WRONG_CHARGE",
            "reference": "T-4711",
        }
    )
    await subscription.send("cancel", at="2026-04-11 09:00", date="2026-04-11")
    await closed(isolated_env)
    [invoice] = await isolated_env.client.invoices(customer_id="C-1")
    made_on = (await isolated_env.client.adjustments(subscription.id))[0].effective_at.date()
    months = {date(2026, 3, 1), date(2026, 4, 1), made_on.replace(day=1), invoice.issued_on.replace(day=1)}

    postings = Counter[tuple[str, JournalAccount, int]]()
    async with open_api_server(isolated_env) as api:
        operator = await api.visitor(None)
        journals = [await lines_of(operator, month) for month in sorted(months)]
        await third_journal_is_refused(isolated_env, operator)
    for month, lines in zip(sorted(months), journals, strict=True):
        balances = defaultdict[str, int](int)
        sums = Counter[JournalAccount]()
        for line in lines:
            assert (line.date.year, line.date.month) == (month.year, month.month)
            balances[line.document] += line.debit - line.credit
            sums[line.account] += line.credit - line.debit
            postings[line.document, line.account, line.debit - line.credit] += 1
        assert set(balances.values()) <= {0}
        [expected] = await isolated_env.owner.fetch(_SUMS, f"{month:%Y-%m}")
        assert [amount or 0 for amount in expected] == [
            sum(amount for account, amount in sums.items() if account.endswith("_REVENUE")),
            sums[JournalAccount.ADJUSTMENTS],
            -sums[JournalAccount.RECEIVABLES],
            sums[JournalAccount.VAT_PAYABLE],
        ]

    first, second = (f"{subscription.id}/SERVICE_FEE/2026-03-{day}" for day in ("01", "15"))
    adjusted = f"{subscription.id}/ADJUSTMENT/T-4711"
    # By hand: 10% of 16,258 + 39,483 = 55,741 is 5,574; the total is 61,315. The days of April are not
    # invoiced: 10 of 30 days of 72,000 are 24,000.
    assert postings == {
        (first, JournalAccount.ACCRUED_RECEIVABLES, 16_258): 1,
        (first, JournalAccount.SERVICE_FEE_REVENUE, -16_258): 1,
        (second, JournalAccount.ACCRUED_RECEIVABLES, 39_483): 1,
        (second, JournalAccount.SERVICE_FEE_REVENUE, -39_483): 1,
        (adjusted, JournalAccount.ACCRUED_RECEIVABLES, -9_483): 1,
        (adjusted, JournalAccount.ADJUSTMENTS, 9_483): 1,
        (f"{subscription.id}/SERVICE_FEE/2026-04-01", JournalAccount.ACCRUED_RECEIVABLES, 24_000): 1,
        (f"{subscription.id}/SERVICE_FEE/2026-04-01", JournalAccount.SERVICE_FEE_REVENUE, -24_000): 1,
        (invoice.number, JournalAccount.RECEIVABLES, 61_315): 1,
        (invoice.number, JournalAccount.ACCRUED_RECEIVABLES, -55_741): 1,
        (invoice.number, JournalAccount.VAT_PAYABLE, -5_574): 1,
    }
