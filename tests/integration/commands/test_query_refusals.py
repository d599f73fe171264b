"""Refusals of queries begin with their code, because a failed query returns only its message.

With encryption, the message is only the code, because nothing encrypts the message of a failed query.
"""

import pytest
from support.service_env import ServiceEnv
from temporalio.client import WorkflowQueryFailedError

from subscription.refusals import RefusalCode

REFUSED: dict[str, tuple[object, RefusalCode]] = {
    "a date that is none": ({"date": "soon"}, RefusalCode.INVALID_ARGUMENT),
    "a misspelt field": ({"dates": "2027-01-01"}, RefusalCode.INVALID_ARGUMENT),
    "no argument": (None, RefusalCode.INVALID_ARGUMENT),
    "a date that has passed": ({"date": "2020-01-01"}, RefusalCode.DATE_IN_THE_PAST),
    "a time that is too late": (
        {"date": "2027-01-01", "at": "2227-01-01T00:00:00+09:00"},
        RefusalCode.INVALID_INSTANT,
    ),
}


def assert_begins_with(failure: Exception, code: RefusalCode, service_env: ServiceEnv) -> None:
    encrypted = service_env.temporal.data_converter.payload_codec is not None
    assert str(failure) == code if encrypted else str(failure).startswith(f"{code}: ")


@pytest.mark.parametrize("case", REFUSED)
async def test_refused_query_message_starts_with_its_code(service_env: ServiceEnv, case: str) -> None:
    argument, code = REFUSED[case]
    subscription = await service_env.requested()
    with pytest.raises(WorkflowQueryFailedError) as failed:
        await subscription.handle.query("quote_cancellation", argument)
    assert_begins_with(failed.value, code, service_env)


async def test_query_of_ended_subscription_is_refused_with_code(service_env: ServiceEnv) -> None:
    subscription = await service_env.requested()
    await subscription.send("cancel", date=f"{await subscription.today()}")
    await subscription.handle.result()
    with pytest.raises(WorkflowQueryFailedError) as failed:
        await subscription.handle.query("quote_cancellation", {"date": "2027-01-01"})
    assert_begins_with(failed.value, RefusalCode.SUBSCRIPTION_ENDED, service_env)
