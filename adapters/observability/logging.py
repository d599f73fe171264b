"""Process logging as text or JSON, with personal data removed.

Each module logs under its own name, so that a level can be set for a module or a package. Log records of this
service have a constant message and `fields` with IDs and codes. From records of libraries only parts without
personal data are kept: the first words of the message, IDs and numbers. From an error only its type and stack
locations are kept. Its message is dropped, because it may quote a value.
"""

import contextlib
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from subscription.ids import WORKFLOW_ID_PREFIX, subscription_id_of

_HOME = Path(__file__).parents[2]
_OWN_CODE = (
    "subscription",
    "adapters",
    "workflows",
    "activities",
    "starter",
    "dev_stack",
    "entrypoints",
    "worker",
)
"""Top-level packages and modules of this service. Its loggers have the same names."""
_MAX_LOCATIONS = 3
# The start of a value, or of a second line, in the message of a library.
_MESSAGE_PREFIX_END = re.compile(r"[:=({<\"'\n]")
_WORD = re.compile(r"[\w.:/…-]+")


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


def configure_logging(log_format: LogFormat, levels: Mapping[str, str] | None = None) -> None:
    """Write each log record and warning of this process as one line to standard output.

    Args:
        log_format: text or JSON.
        levels: levels by the name of a module or package. The default is INFO for the service, and WARNING
            for libraries.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLine() if log_format is LogFormat.JSON else _TextLine())
    handler.addFilter(_not_reported_elsewhere)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    # A record that cannot be formatted is dropped: logging's error report would quote it on standard error.
    logging.raiseExceptions = False
    for name, level in {**dict.fromkeys(_OWN_CODE, "INFO"), **(levels or {})}.items():
        logging.getLogger(name).setLevel(level)
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False


def _not_reported_elsewhere(record: logging.LogRecord) -> bool:
    """Reject the SDK's activity failure records; the failure interceptor already logs them."""
    return getattr(record, "__temporal_error_identifier", None) != "ActivityFailure"


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
                "level": record.levelname,
                "logger": record.name,
                "message": _message(record),
                **_fields(record),
            },
            ensure_ascii=False,
        )


class _TextLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", timespec="seconds")
        fields = "".join(f" {name}={_in_text(value)}" for name, value in _fields(record).items())
        return f"{time} {record.levelname} {record.name} {_message(record)}{fields}"


def _in_text(value: Any) -> str:
    """Return the value as one word, or quoted as JSON, so that a record stays on one line."""
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text if _WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] in _OWN_CODE:
        return record.getMessage()
    message = str(record.msg)
    if isinstance(record.args, tuple):
        with contextlib.suppress(TypeError, ValueError):
            message %= tuple(_redact(value) for value in record.args)
    return _MESSAGE_PREFIX_END.split(message)[0].strip()


def _redact(value: object) -> object:
    if isinstance(value, int | float):
        return value
    try:
        return str(UUID(str(value).removeprefix(WORKFLOW_ID_PREFIX)))
    except ValueError:
        return "…"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None) or _sdk_fields(record)
    output = {name: value for name, value in fields.items() if value is not None}
    if record.exc_info and record.exc_info[1]:
        _, error, trace = record.exc_info
        output |= {"error": _exception_chain(error), "where": list(_stack_locations(trace))}
    return output


def _sdk_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the IDs of the workflow or activity that an SDK record refers to."""
    details = getattr(record, "temporal_activity", None) or getattr(record, "temporal_workflow", None) or {}
    return {
        "subscription_id": subscription_id_of(details.get("workflow_id") or ""),
        "run_id": details.get("workflow_run_id") or details.get("run_id"),
        "activity": details.get("activity_type"),
        "attempt": details.get("attempt"),
    }


def error_type(error: BaseException) -> str:
    """Return the type of an `ApplicationError`, or else the class name of the error."""
    return (isinstance(error, ApplicationError) and error.type) or type(error).__name__


def _exception_chain(error: BaseException) -> str:
    """Return the type of the error, followed by the types of its causes."""
    kinds = [error_type(error)]
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        kinds.append(error_type(cause))
        error = cause
    return " from ".join(kinds)


def _stack_locations(trace: TracebackType | None) -> Iterator[str]:
    """Yield the innermost stack locations in the code of this service, or else the innermost location."""
    frames = traceback.extract_tb(trace)
    own = [(path, frame) for frame in frames if (path := _own_path(frame.filename))]
    for path, frame in own[-_MAX_LOCATIONS:] or [(Path(frame.filename).name, frame) for frame in frames[-1:]]:
        yield f"{path}:{frame.lineno} {frame.name}"


def _own_path(filename: str) -> str | None:
    path = Path(filename)
    if not path.is_relative_to(_HOME):
        return None
    relative = path.relative_to(_HOME)
    return str(relative) if relative.with_suffix("").parts[0] in _OWN_CODE else None
