"""Jinja environments, one per language."""

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from adapters.language import Language
from entrypoints.console.i18n import Translator, catalogue_of


class TemplateRenderer:
    """Jinja templates with one environment per language, because gettext is installed per environment."""

    def __init__(self) -> None:
        self._environments = {language: _templates(language) for language in Language}

    def render(self, template: str, words: Translator, /, **context: Any) -> str:
        html: str = self._environments[words.language].get_template(template).render(words=words, **context)
        return html


@cache
def _templates(language: Language) -> Environment:
    environment = Environment(
        loader=PackageLoader("entrypoints.console"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(catalogue_of(language), newstyle=True)  # type: ignore[attr-defined]
    environment.globals["languages"] = {Language.KO: "한국어", Language.EN: "English"}
    environment.globals["asset"] = asset
    return environment


@cache
def asset(name: str) -> str:
    """Return the URL of a static file with a hash of its contents, so that browsers can cache the file."""
    contents = resources.files("entrypoints.console").joinpath("static", name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(contents).hexdigest()[:10]}"
