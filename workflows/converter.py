"""How what is said travels through Temporal: as pydantic writes it, and refusals without a stack trace."""

import dataclasses

from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError

from subscription.refusals import Code

_REFUSALS = frozenset(Code)


class RefusalsWithoutTrace(DefaultFailureConverter):
    """A refusal is an answer, not a fault: where in our code it was made helps nobody who reads it."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        if isinstance(exception, ApplicationError) and exception.type in _REFUSALS:
            failure.stack_trace = ""


DATA_CONVERTER = dataclasses.replace(pydantic_data_converter, failure_converter_class=RefusalsWithoutTrace)
