"""Delete a file at OpenAI, for good. A second time changes nothing."""

from typing import Annotated

from pydantic import Field

from app.engine.call import Call
from app.platform import ActionInput, ActionOutput, Effect, Json, action
from tasks.openai.files import calls
from tasks.openai.files.calls import DELETE

FileId = Annotated[str, Field(pattern=r"^file-[\w-]{1,100}$")]


class DeleteInput(ActionInput):
    """The id of a file at OpenAI."""

    file: FileId


@action("openai.delete_file", input=DeleteInput, effect=Effect.REPEATABLE)
def delete_file(call: Call, given: DeleteInput) -> Json:
    """Delete a file for good: {file, result}; the result is `deleted`, or `already` if it was gone.

    Raises Permanent `belongs_to_other` if another workflow has uploaded it, which is no parent,
    child or fork of this one.
    """
    request = {"file": given.file}
    if call.recorded(DELETE) is None:
        seen = calls.retrieve(given.file)
        call.claim_object(given.file, None if seen is None else _mark(seen["filename"]))
    made = call.once(DELETE, request, lambda r, _key: {"result": calls.delete(r["file"])})
    return {"file": given.file, "result": made["result"]}


def _mark(filename: str) -> str | None:
    """The mark of the workflow in the name of a file (see Call.claim_object)."""
    workflow, dot, rest = filename.partition(".")
    return f"{workflow}/{rest}" if dot else None


class Deleted(ActionOutput):
    """The file, and `deleted` or `already`."""

    file: str
    result: str


delete_file.describe(output=Deleted, example={"file": "file-abc123"})
