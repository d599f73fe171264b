"""Views of notices."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from entrypoints.cli.views.layout import new_table

if TYPE_CHECKING:
    from subscription.notice_outbox import OutboxNotice


def notices_table(notices: "Iterable[OutboxNotice]") -> Table:
    table = new_table("Number", "Subscription", "Notice", "To", "Date", "State", "Since (KST)", "Error")
    for notice in notices:
        table.add_row(
            str(notice.number),
            notice.subscription_id,
            notice.kind,
            notice.addressee,
            str(notice.event_date),
            notice.state,
            f"{notice.completed_at or notice.queued_at:%Y-%m-%d %H:%M}",
            notice.last_error or "",
        )
    return table


def notice_view(notice: "OutboxNotice") -> RenderableType:
    """Return a notice with its email, if the email still exists."""
    if notice.body is None:
        return Group(notices_table([notice]), Text("The email has been deleted."))
    heading = Text(f"To {notice.recipient}\n{notice.subject}\n", style="bold")
    return Group(notices_table([notice]), heading, Text(notice.body))
