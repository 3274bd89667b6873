"""Finds the files that an input mentions. Every text that looks like an id may be a file's id.

SQL does not read payloads, so Python searches the input before it is stored. The SQL function
`mention_artifacts_v1` then stores the ids that are files of the user.
"""

import re
from uuid import UUID

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def mentioned(text: str | None) -> list[UUID] | None:
    """The ids in the text of an input, each once. None if there is no id, as in most inputs.

    >>> mentioned('{"photo": "01890a5d-ac96-774b-bcce-b302099a8057"}')
    [UUID('01890a5d-ac96-774b-bcce-b302099a8057')]
    >>> mentioned("{}")
    """
    found = _ID.findall(text or "")
    return [UUID(each) for each in dict.fromkeys(found)] or None
