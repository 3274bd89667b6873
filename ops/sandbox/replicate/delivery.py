"""The files that predictions and trainings make, and the webhooks that tell of both."""

from __future__ import annotations

import base64
import json
import mimetypes
from typing import Any

from ops.sandbox.box import Box, token62
from ops.sandbox.replicate.models import File
from ops.sandbox.store import Json

TERMINAL = ("succeeded", "failed", "canceled", "aborted")
FILTERS = ("start", "output", "logs", "completed")
DEFAULT_FILTER = ("output", "completed")
_NOT_YET = ("started_at", "completed_at")


def public(made: Json) -> Json:
    """Return a prediction or training as Replicate shows it: without the sandbox's own data, and
    without the times that have not come."""
    return {
        name: value
        for name, value in made.items()
        if name != "sandbox" and not (name in _NOT_YET and value is None)
    }


class Delivery:
    """Writes files, deletes them, and sends webhooks; call it in a transaction."""

    def __init__(self, box: Box) -> None:
        self._box = box

    def shown(self, made: Json, output: Any) -> Any:
        """Return an output in which each file is its address, or a data URI."""
        if isinstance(output, File):
            return self._data(output) if output.is_inline else self.address(made, output)
        if isinstance(output, list):
            return [self.shown(made, each) for each in output]
        if isinstance(output, dict):
            return {name: self.shown(made, each) for name, each in output.items()}
        return output

    def shaped(self, made: Json, file: File, shape: str) -> Any:
        """Return the output of a model with one file, in one of the shapes of
        `replicate.output_shape`."""
        if shape in ("empty", "nothing"):
            return [] if shape == "empty" else None
        if shape == "data":
            return self._data(file)
        url = self.address(made, file)
        shapes: Json = {"url": url, "list": [url], "dict": {"image": url, "seed": 7}}
        return shapes[shape]

    def address(self, made: Json, file: File) -> str:
        """Write a file and return its address."""
        blob = token62(43)
        self._box.store.write_blob(blob, file.data)
        self._box.store.put("delivery", blob, {"name": file.name, "prediction": made["id"]})
        made["sandbox"].setdefault("blobs", []).append(blob)
        return f"{self._box.urls['replicate']}/pbxt/{blob}/{file.name}"

    def remove(self, made: Json) -> None:
        """Delete the files that a prediction or training has made."""
        for blob in made["sandbox"].pop("blobs", []):
            self._box.store.delete("delivery", blob)
            self._box.store.delete_blob(blob)

    def tell(self, event: str, made: Json) -> None:
        """Send a webhook, unless the caller has not asked for events of this kind."""
        notes = made["sandbox"]
        if not notes["webhook"] or event not in notes["filter"]:
            return
        self._box.outbox.post(
            "replicate",
            event,
            notes["webhook"],
            f"msg_{token62(27)}",
            made["id"],
            json.dumps(public(made)).encode(),
            "standard",
        )

    def _data(self, file: File) -> str:
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return f"data:{kind};base64,{base64.b64encode(file.data).decode()}"


def hook_notes(body: Json) -> Json:
    """Return where a prediction or training sends its webhooks, and which."""
    wanted = body.get("webhook_events_filter")
    filter_ = list(DEFAULT_FILTER) if wanted is None else wanted
    return {"webhook": body.get("webhook"), "filter": filter_}
