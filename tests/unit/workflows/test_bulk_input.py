"""Invalid input of a bulk run: `run` refuses it, because the SDK expects the constructor to return."""

import pytest
from temporalio.exceptions import ApplicationError

from subscription.refusals import RefusalCode
from workflows.bulk import BulkWorkflow


@pytest.mark.parametrize("argument", [None, {"run": "r"}, {"run_id": "r", "rate": 0}, "r"])
async def test_invalid_bulk_input_is_refused_in_run(argument: object) -> None:
    workflow = BulkWorkflow(argument)
    with pytest.raises(ApplicationError) as refused:
        await workflow._run(workflow._input)
    assert (refused.value.type, refused.value.non_retryable) == (RefusalCode.INVALID_ARGUMENT, True)
