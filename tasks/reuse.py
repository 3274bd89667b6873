"""The input `cache`: whether a step may take the result of an equal request.

By default, a result is reused where it costs money and an equal request is expected to have an
equal result: a picture that follows from two pictures. What a model makes up (a caption) is made
anew, because whoever asks twice mostly wants another one. So is the judgement of a text, which is
free and may be better today. `cache: true` reuses those too.
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
