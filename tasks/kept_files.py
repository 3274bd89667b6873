"""How outputs show the files that actions keep as artifacts of their steps."""

from app.engine.call import Call
from app.platform import ActionOutput, Json


class KeptFile(ActionOutput):
    """A file in the store. `url` is a signed link that is valid for a day; the digests are those
    of the kept file and of what the vendor made. `width` and `height` are a picture's.

    `is_marked` says of a picture whether it has the mark that a model has made it; null for other
    files. A picture without it is kept as it came, with whatever the model has put into it.
    `made_by` are the `model`, the `version` and the `prediction` that have made the file.
    """

    id: str
    url: str
    content_type: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    vendor_sha256: str | None
    is_marked: bool | None = None
    made_by: dict[str, str | None] | None = None


def copied(call: Call, kept: Json) -> Json:
    """A copy of another step's file, which belongs to this step. Raises Permanent
    `artifact_missing` if that file is gone."""
    return call.artifacts.copy(kept["id"], vendor_sha256=kept["vendor_sha256"])


def erased(call: Call) -> Json:
    """Erase what the step has kept, for a compensation that has nothing to undo at the platform:
    {result, erased}, the second being how many files."""
    files = sum(call.artifacts.erase(each["id"]) for each in call.artifacts.written())
    return {"result": "erased" if files else "nothing", "erased": files}
