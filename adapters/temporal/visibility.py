"""Visibility queries."""


def quote_visibility_value(text: str) -> str:
    """Quote and escape a text as a value in a visibility query."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
