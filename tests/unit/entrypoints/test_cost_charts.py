"""Charts of the cancellation fee by date and of the cost by month: positions in percent."""

from datetime import date

from support.scenario_builder import ScenarioBuilder

from entrypoints.console.available_actions import quotes_by_month
from entrypoints.console.cost_bars import cost_bars
from entrypoints.console.fee_curve import fee_curve
from starter.client import CurrentState
from subscription.what_if import MonthCost


def test_r30_fee_curve_falls_to_zero_on_the_free_day() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "ANNUAL", plan="lite").at("2027-07-01")
    quotes = quotes_by_month(CurrentState(state=paid.state, now=paid.now, book=paid.book))
    curve = fee_curve(quotes, quotes[1])
    assert curve is not None
    # 54,000 on 1 July. On 31 December: repayment of 71,806, and 10% of 1/31 of 30,000.
    assert [(f"{point.date}", point.fee) for point in curve.points[-2:]] == [
        ("2027-12-31", 71_902),
        ("2028-01-01", 0),
    ]
    assert curve.highest == 71_902
    assert [(point.x, point.y) for point in (curve.points[0], *curve.points[-2:])] == [
        (0, 75.1),  # 54,000 of 71,902
        (99.46, 100),  # 183 of 184 days
        (100, 0),
    ]
    # 31 of 184 days.
    assert curve.chosen is not None
    assert (curve.chosen.date, curve.chosen.x) == (date(2027, 8, 1), 16.85)
    assert all(right.x - left.x >= 14 for left, right in zip(curve.labeled, curve.labeled[1:], strict=False))


def test_fee_curve_without_a_fee_is_none() -> None:
    paid = ScenarioBuilder.paid("2027-01-01", "MONTHLY")
    assert fee_curve(quotes_by_month(CurrentState(state=paid.state, now=paid.now, book=paid.book))) is None


def test_cost_bars_share_a_round_scale() -> None:
    def months(*amounts: int) -> list[MonthCost]:
        return [
            MonthCost(month=date(2027, number, 1), service_fees=amount, penalty=0, vat=0)
            for number, amount in enumerate(amounts, start=1)
        ]

    chart = cost_bars({0: months(60_000, 0), 2: months(60_000, 331_702)})
    assert chart is not None
    assert (chart.top, chart.slot) == (400_000, 50)
    # A quarter of each month stays empty; a month without a cost has no bar.
    assert [(bar.series, bar.x, bar.height) for bar in chart.bars] == [
        (0, 6.25, 15),
        (2, 25, 15),
        (2, 75, 82.93),
    ]
    assert cost_bars({0: months(0, 0)}) is None
