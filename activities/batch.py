"""Batches: a failure of one member is reported, and the other members are processed.

An error that concerns all members, such as an unavailable database, is raised, and Temporal retries the page.
"""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from temporalio import activity

from activities import metrics
from adapters.outages import concerns_all
from subscription.batch import MemberFailure

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Batch:
    """Failures of one page of members. `job` is the name of the job in the log."""

    def __init__(self, job: str) -> None:
        self._job = job
        self.failures: list[MemberFailure] = []

    async def run_member(
        self, member: str, step: Awaitable[T], *, of_all: tuple[type[Exception], ...] = ()
    ) -> T | None:
        """Return the result of a member's step; None if the step failed for this member only.

        `member` is an ID without personal data. `of_all` are further error types that concern all members.
        """
        try:
            return await step
        except Exception as error:
            if isinstance(error, of_all) or concerns_all(error):
                raise
            self.fail(member, error)
            return None

    def fail(self, member: str, error: Exception) -> None:
        """Add the failure of a member, and log and count it."""
        failure = MemberFailure(member=member, error=type(error).__name__)
        self.failures.append(failure)
        fields = {"job": self._job, "member": member}
        traceback = error.__traceback__ and error.__traceback__.tb_next
        _log.error(
            "a member of a batch failed",
            exc_info=(type(error), error, traceback),
            extra={"fields": fields},
        )
        if activity.in_activity():
            metrics.count_failure(error)
