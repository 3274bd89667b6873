"""Calls of one SQL function that several threads make at the same moment travel together.

A process that holds many steps at once would make one round trip and one commit for each call. With
`Together`, the calls that come while another is under way are made by one statement, in one
transaction. Each caller gets its own rows, after the commit.
"""

from collections.abc import Sequence
from typing import Any

from app.batching import Batches
from app.db.patience import hot
from app.db.pool import prepared

_ALONE_CHARACTERS = 32 * 1024
"""A call with longer parameters travels alone."""

Rows = list[dict[str, Any]]
_Parameters = tuple[Any, ...]


class Together:
    """The calls of the SQL function `one`, made together by the function `many`.

    `one` has parameters of the `types`. `many` has an array for each of them, in the same order (of
    text for jsonb and json), and returns the columns of `one` behind `call_number`, which counts
    from 1. It leaves out a call that would have to wait for a lock, and that call is made alone.
    `seconds` limits the retries, as in `app.db.hot`.
    """

    def __init__(self, one: str, many: str, types: str, *, seconds: float) -> None:
        self._one, self._many, self._types, self._seconds = one, many, types, seconds
        names = [each.strip() for each in types.split(",")]
        self._array_types = ", ".join(
            f"{'text' if name in {'jsonb', 'json'} else name}[]" for name in names
        )
        self._batches = Batches[_Parameters, Rows | None](self.alone, self._make_all)

    def call(self, parameters: _Parameters) -> Rows:
        """Call `one`, alone or together with others, and return its rows."""
        characters = sum(len(each) for each in parameters if isinstance(each, str))
        if characters > _ALONE_CHARACTERS:
            return self.alone(parameters)
        rows = self._batches.do(None, parameters, characters)
        return self.alone(parameters) if rows is None else rows

    def alone(self, parameters: _Parameters) -> Rows:
        """Call `one` alone, and return its rows."""
        return hot(self._one, self._types, parameters, seconds=self._seconds)

    def _make_all(self, calls: Sequence[_Parameters]) -> list[Rows | None]:
        """Make all calls in one transaction. The rows of a call that was left out are None."""
        columns = tuple(list(each) for each in zip(*calls, strict=True))
        found: dict[int, Rows] = {}
        for row in prepared(self._many, self._array_types, columns):
            found.setdefault(row.pop("call_number"), []).append(row)
        return [found.get(number) for number in range(1, len(calls) + 1)]
