"""What a history has of a local activity: a marker with its name and its result, and not its argument."""

import json
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent

_LOCAL_ACTIVITY = "core_local_activity"


def local_result(event: HistoryEvent) -> tuple[str, Sequence[Payload]] | None:
    """The name and the result of the local activity that has succeeded by this event."""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != _LOCAL_ACTIVITY or marker.HasField("failure"):
        return None
    [data] = marker.details["data"].payloads  # as the SDK's core writes it, past every converter and codec
    return json.loads(data.data)["activity_type"], marker.details["result"].payloads
