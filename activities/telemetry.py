"""The SDK's runtime as the worker wants it: metrics for Prometheus, and the SDK's own log among ours."""

import logging
from collections.abc import Mapping, Sequence

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

# In seconds. A deadline is met in moments, or after as long as nothing could be done.
_LATENESS = (1, 5, 15, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY)
_BUCKETS: Mapping[str, Sequence[float]] = {"worksub_deadline_lateness": _LATENESS}


def telemetry_runtime(metrics_address: str | None) -> Runtime:
    """A runtime whose metrics are served under `/metrics` at the address, if there is one.

    Raises `ValueError` if nothing can listen there.
    """
    return Runtime(
        telemetry=TelemetryConfig(
            # What the SDK attaches to its records may quote an error, so only their messages are taken.
            logging=LoggingConfig(
                filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
                forwarding=LogForwardingConfig(
                    logger=logging.getLogger("temporalio.core"),
                    append_target_to_name=False,
                    prepend_target_on_message=False,
                    append_log_fields_to_message=False,
                ),
            ),
            metrics=PrometheusConfig(
                bind_address=metrics_address,
                counters_total_suffix=True,
                unit_suffix=True,
                durations_as_seconds=True,
                histogram_bucket_overrides=_BUCKETS,
            )
            if metrics_address
            else None,
            attach_service_name=False,
        )
    )
