"""Argument and result types of every activity, from the stubs that workflows call."""

from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any, NamedTuple, get_type_hints

from subscription.model import Frozen
from workflows import activity_stubs


class ActivityTypes(NamedTuple):
    argument: type[Frozen]
    result: Any


ACTIVITY_TYPES: Mapping[str, ActivityTypes] = {
    name: ActivityTypes(*get_type_hints(stub).values())
    for name, stub in vars(activity_stubs).items()
    if iscoroutinefunction(stub)
}
