"""Query parameter types shared by several routes."""

from typing import Annotated

from fastapi import Query

Members = Annotated[int | None, Query(ge=1, le=10_000_000)]
Plan = Annotated[str | None, Query(max_length=64)]
