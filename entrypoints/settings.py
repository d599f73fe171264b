"""Settings of all processes: start of a process, unknown variables, and the table in the documentation.

`python -m entrypoints.settings` writes the table into docs/configuration.md.
"""

import ast
import inspect
import logging
import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from pydantic.fields import FieldInfo

from adapters.observability.logging import configure_logging
from adapters.settings import (
    CatalogueSettings,
    DatabaseSettings,
    EncryptionSettings,
    LogSettings,
    Settings,
    WebhookSettings,
)
from adapters.temporal.settings import TemporalSettings
from adapters.worker_settings import WorkerSettings
from entrypoints.api.settings import ApiSettings
from entrypoints.codec_server.settings import CodecSettings

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

_TABLE = re.compile(r"(<!-- settings: .* -->\n).*?(?=\n<!-- /settings -->)", re.DOTALL)
_log = logging.getLogger(__name__)

P = TypeVar("P", bound=LogSettings)


class CliSettings(DatabaseSettings, CatalogueSettings, EncryptionSettings, WebhookSettings, TemporalSettings):
    """All settings that commands read. Each command reads only those that it needs."""


PROCESSES: Mapping[str, type[Settings]] = {
    "worker": WorkerSettings,
    "API": ApiSettings,
    "codec server": CodecSettings,
    "CLI": CliSettings,
}


def start_settings(settings: type[P], *, as_json: bool) -> P:
    """Read the settings of this process, configure its logging, and warn of unknown variables."""
    loaded = settings.load({**os.environ, "WORKSUB_LOG_FORMAT": "json"} if as_json else os.environ)
    configure_logging(loaded.log_format, loaded.log_levels)
    for warning in unknown_settings(os.environ):
        _log.warning(warning)
    return loaded


def unknown_settings(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each variable `WORKSUB_…` that no process reads.

    An unknown variable is no error: one file of settings is for several processes and for Compose, and an
    earlier release must start with the settings of a later one.
    """
    known = fields_by_variable().keys()
    for name in sorted(environment):
        if name.startswith("WORKSUB_") and name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.8)
            hint = f" Did you mean {nearest[0]}?" if nearest else ""
            yield f"{name} is not a setting.{hint}"


def fields_by_variable() -> dict[str, tuple[FieldInfo, list[str]]]:
    """Return the field of each variable, and the processes that read it."""
    found: dict[str, tuple[FieldInfo, list[str]]] = {}
    for process, settings in PROCESSES.items():
        for field in settings.model_fields.values():
            found.setdefault(str(field.validation_alias), (field, []))[1].append(process)
    return found


def meanings() -> dict[str, str]:
    """Return the docstring of each variable's field.

    pydantic's `use_attribute_docstrings` would read the source code at each start of a process, for 0.1 s.
    """
    found = {}
    for settings in PROCESSES.values():
        for base in settings.__mro__:
            if issubclass(base, Settings):
                [definition] = ast.parse(inspect.getsource(base)).body
                assert isinstance(definition, ast.ClassDef)
                for statement, following in pairwise(definition.body):
                    match statement, following:
                        case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str() as text)):
                            variable = settings.model_fields[name].validation_alias
                            found[str(variable)] = " ".join(text.split())
    return found


def with_table(page: str) -> str:
    """Return the page with the current table."""
    lines = ["| variable | read by | default | example | meaning |", "|---|---|---|---|---|"]
    meaning = meanings()
    for variable, (field, processes) in sorted(fields_by_variable().items()):
        read_by = "all" if len(processes) == len(PROCESSES) else ", ".join(processes)
        example = f"`{field.examples[0]}`" if field.examples else ""
        lines.append(f"| `{variable}` | {read_by} | {_default(field)} | {example} | {meaning[variable]} |")
    return _TABLE.sub(lambda match: match[1] + "\n" + "\n".join(lines) + "\n", page)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory:
        return "built in"
    default = field.default
    if default is False:
        return "`false`"
    return f"`{default}`" if default else "none"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
