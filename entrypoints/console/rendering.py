"""Jinja environments, one per language."""

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment

from adapters.translation import Language, Translator, template_environment


class TemplateRenderer:
    """Jinja templates with one environment per language, because gettext is installed per environment."""

    def __init__(self) -> None:
        self._environments = {language: _templates(language) for language in Language}

    def render(self, template: str, translator: Translator, /, **context: Any) -> str:
        html: str = (
            self._environments[translator.language]
            .get_template(template)
            .render(translator=translator, **context)
        )
        return html


@cache
def _templates(language: Language) -> Environment:
    environment = template_environment(
        "entrypoints.console", language, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["languages"] = {Language.KO: "한국어", Language.EN: "English"}
    environment.globals["asset"] = asset
    return environment


@cache
def asset(name: str) -> str:
    """Return the URL of a static file with a hash of its contents, so that browsers can cache the file."""
    contents = resources.files("entrypoints.console").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(contents).hexdigest()[:10]}"
