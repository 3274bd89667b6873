"""The input `cache`: whether a step may take the result of an equal request.

By default, results are reused for as long as the settings allow: a picture and a caption for a day,
the judgement of a text for an hour. A step that wants a fresh sample of the same request says
`cache: false`; a setting of 0 ends all reuse but that of steps that ask for it by their `cache`.
"""

import hashlib
from typing import Annotated

from pydantic import Field, SecretStr

from app.platform import ActionInput, Json

LONGEST = 30 * 86_400
"""The greatest age of a result that a step may take, in seconds."""
DAY = 86_400.0

CacheSeconds = Annotated[int, Field(ge=1, le=LONGEST)]


class Reusable(ActionInput):
    """`cache`: true lets the step take the result of an equal request of yours, instead of paying
    for it again; a number is its greatest age in seconds; false makes the request anew."""

    cache: bool | CacheSeconds | None = None


def age_seconds(given: Reusable, default: float) -> float:
    """How old a result may be that the step takes; 0 if it takes none.

    `default` is for a step that does not say it.
    """
    if given.cache is None or given.cache is True:
        return default if given.cache is None else default or DAY
    return float(given.cache)


def account_of(base_url: str, credential: SecretStr) -> Json:
    """The account of a platform to which this credential belongs, without the credential itself.

    With a new credential of the same account, results are made anew once.
    """
    secret = credential.get_secret_value().encode()
    return {"base_url": base_url, "credential": hashlib.sha256(secret).hexdigest()}
