"""The journal: every document balances, and the sums of each month equal the ledger and the invoices."""

from collections import Counter, defaultdict
from datetime import date

from support.service_env import ServiceEnv

from starter.journal import journal
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


async def lines_of(env: ServiceEnv, month: date) -> list[JournalLine]:
    return [line async for line in journal(env.reader, month)]


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
    for month in months:
        lines = await lines_of(isolated_env, month)
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
