"""Which files an input mentions: any text in it that is written like an id may name one.

SQL looks inside no payload, so that this is found while the input is at hand (see the SQL function
`mention_artifacts_v1`, which keeps those ids that are the user's files).
"""

import re
from uuid import UUID

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def mentioned(text: str | None) -> list[UUID] | None:
    """The ids in the text of an input, each once; None where there is none, as in most.

    >>> mentioned('{"photo": "01890a5d-ac96-774b-bcce-b302099a8057"}')
    [UUID('01890a5d-ac96-774b-bcce-b302099a8057')]
    >>> mentioned("{}")
    """
    found = _ID.findall(text or "")
    return [UUID(each) for each in dict.fromkeys(found)] or None
