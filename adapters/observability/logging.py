"""Process logging as text or JSON, with personal data removed.

Our own records bring a message and `fields`, ids and codes. Of what libraries log, only what cannot hold a
person's data is kept: the first words of the message, ids and numbers. Of an error its kind is kept and the
places that it came through, and never its words, which may quote a value.
"""

import contextlib
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from subscription.ids import WORKFLOW_ID_PREFIX, subscription_id_of

_OURS = "worksub"
_HOME = Path(__file__).parents[2]
_OUR_CODE = (
    "subscription",
    "adapters",
    "workflows",
    "activities",
    "starter",
    "dev_stack",
    "entrypoints",
    "worker.py",
)
_PLACES = 3
# Where a message of a library goes on with a value, or with more than its first line.
_END_OF_THE_FIRST_WORDS = re.compile(r"[:=({<\"'\n]")
_WORD = re.compile(r"[\w.:/…-]+")


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


def configure_logging(log_format: LogFormat) -> None:
    """From now on every log record and warning of this process is a line on standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLine() if log_format is LogFormat.JSON else _TextLine())
    handler.addFilter(_not_reported_elsewhere)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    # What cannot be written is lost; logging's own complaint would quote it on standard error.
    logging.raiseExceptions = False
    logging.getLogger(_OURS).setLevel(logging.INFO)
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False


def _not_reported_elsewhere(record: logging.LogRecord) -> bool:
    """Whether nothing else says it: of attempts that fail we tell ourselves."""
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
        return f"{time} {record.levelname} {_message(record)}{fields}"


def _in_text(value: Any) -> str:
    """One word, or quoted, so that a line stays a line."""
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text if _WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    if record.name == _OURS:
        return record.getMessage()
    words = str(record.msg)
    if isinstance(record.args, tuple):
        with contextlib.suppress(TypeError, ValueError):
            words %= tuple(_redact(value) for value in record.args)
    return _END_OF_THE_FIRST_WORDS.split(words)[0].strip()


def _redact(value: object) -> object:
    if isinstance(value, int | float):
        return value
    try:
        return str(UUID(str(value).removeprefix(WORKFLOW_ID_PREFIX)))
    except ValueError:
        return "…"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None) or _sdks_fields(record)
    shown = {name: value for name, value in fields.items() if value is not None}
    if record.exc_info and record.exc_info[1]:
        _, error, came_through = record.exc_info
        shown |= {"error": _exception_chain(error), "where": list(_stack_locations(came_through))}
    return shown


def _sdks_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What the SDK says of the workflow or the activity that it speaks of."""
    details = getattr(record, "temporal_activity", None) or getattr(record, "temporal_workflow", None) or {}
    return {
        "subscription_id": subscription_id_of(details.get("workflow_id") or ""),
        "run_id": details.get("workflow_run_id") or details.get("run_id"),
        "activity": details.get("activity_type"),
        "attempt": details.get("attempt"),
    }


def error_type(error: BaseException) -> str:
    """What the error is called in code: its class, or the type that it was given."""
    return (isinstance(error, ApplicationError) and error.type) or type(error).__name__


def _exception_chain(error: BaseException) -> str:
    """The error's kind, and the kinds of what it came from."""
    kinds = [error_type(error)]
    while cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        kinds.append(error_type(cause))
        error = cause
    return " from ".join(kinds)


def _stack_locations(came_through: TracebackType | None) -> Iterator[str]:
    """The latest places in our own code; where there is none, the very last one."""
    frames = traceback.extract_tb(came_through)
    ours = [(path, frame) for frame in frames if (path := _our_path(frame.filename))]
    for path, frame in ours[-_PLACES:] or [(Path(frame.filename).name, frame) for frame in frames[-1:]]:
        yield f"{path}:{frame.lineno} {frame.name}"


def _our_path(filename: str) -> str | None:
    path = Path(filename)
    if not path.is_relative_to(_HOME):
        return None
    ours = path.relative_to(_HOME)
    return str(ours) if ours.parts[0] in _OUR_CODE else None
