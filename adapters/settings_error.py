"""Error for invalid settings, apart from `adapters.settings` because every command of the CLI imports it."""


class SettingsError(ValueError):
    """A setting is missing or invalid; each line of the message names a setting and what to do.

    A `ValueError`, so that pydantic reports it together with the other invalid settings of a process.
    """
