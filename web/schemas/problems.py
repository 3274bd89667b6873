"""Problem documents: the body of every error response."""

from pydantic import BaseModel, Field


class Fault(BaseModel):
    """One fault of a request, and its place."""

    pointer: str | None = Field(default=None, description="JSON pointer into the body (RFC 6901).")
    parameter: str | None = Field(default=None, description="Name of a query parameter or header.")
    detail: str


class Problem(BaseModel):
    """RFC 9457: what went wrong, for people (`detail`) and for machines (`code`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    request_id: str
    errors: list[Fault] | None = None
