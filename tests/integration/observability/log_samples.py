"""Processes that log: `python -m integration.observability.log_samples SAMPLE FORMAT`."""

import logging
import sys
import warnings

from adapters.observability.logging import LogFormat, configure_logging


def library_records(log_format: LogFormat) -> None:
    configure_logging(log_format)
    library = logging.getLogger("library")
    library.warning("%s has %d calls in %s", "acme", 7, "0b5b0f1e-8a14-4cf4-9cc0-3d4e1ad1c1f0")
    library.error("It failed with Key (name)=(acme)")
    library.error("Task exception was never retrieved\nfuture: <Task exception=ValueError('acme')>")
    library.info("acme")
    warnings.warn("input_value='acme'", stacklevel=1)
    try:
        try:
            raise ValueError("acme")
        except ValueError as error:
            raise RuntimeError("acme") from error
    except RuntimeError:
        library.exception("It failed")


def own_record(log_format: LogFormat) -> None:
    configure_logging(log_format)
    fields = {"subscription_id": "by\nhand", "attempt": 2, "activity": None, "command": "an unknown signal"}
    logging.getLogger("workflows.lifecycle").info("command refused", extra={"fields": fields})


def records_by_level(log_format: LogFormat) -> None:
    configure_logging(log_format, {"entrypoints.http": "WARNING"})
    for module in ("entrypoints.http.request_log", "entrypoints.api.server", "worker", "library"):
        logging.getLogger(module).info("Started %s", "with-a-value")


SAMPLES = {each.__name__: each for each in (library_records, own_record, records_by_level)}

if __name__ == "__main__":
    SAMPLES[sys.argv[1]](LogFormat(sys.argv[2]))
