"""The journal of a month, for operators."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from adapters.journal_formats import MEDIA_TYPES, JournalFormat, journal_pieces
from entrypoints.api.dependencies import ClientDep, slot
from entrypoints.api.problem_details import ApiCode, responses
from entrypoints.api.query_parameters import Month
from entrypoints.http.download_response import download_response
from subscription.refusals import RefusalCode

router = APIRouter(prefix="/v1", tags=["Operators"])

_Format = Annotated[Literal["csv", "jsonl"], Query(alias="format", description="CSV or JSON Lines.")]
_MAX_IN_PROGRESS = 2
_JOURNAL: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The double-entry lines of the month (docs/journal.md). CSV has a header, JSON Lines "
        "an object in each line. A response that ends without its last chunk is incomplete.",
        "headers": {
            "Content-Disposition": {
                "description": "The suggested file name.",
                "schema": {"type": "string", "examples": ['attachment; filename="journal-2027-03.csv"']},
            }
        },
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in MEDIA_TYPES.values()
        },
    }
}


_slot = slot(lambda service: service.journals, _MAX_IN_PROGRESS, "journals in progress")
"""Each journal occupies a database connection."""


@router.get(
    "/journal",
    dependencies=[Depends(_slot)],
    response_class=StreamingResponse,
    responses={**_JOURNAL, **responses(ApiCode.OPERATORS_ONLY, RefusalCode.INVALID_ARGUMENT)},
    summary="Get the journal of a month",
    description="The charges, adjustments and invoices of the month as double-entry lines, from one database "
    "snapshot. The response is streamed. At most 2 journals of an API key at a time.",
)
async def get_journal(
    client: ClientDep,
    month: Month,
    written_as: _Format = "csv",
) -> Response:
    chosen = JournalFormat(written_as)
    pieces = journal_pieces(client.journal(month), chosen)
    return await download_response(pieces, f"journal-{month:%Y-%m}.{chosen}", MEDIA_TYPES[chosen])
