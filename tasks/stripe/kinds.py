"""The kinds of objects that steps make at Stripe, and how the objects of a step are found again.

Invariant: an object that a step has made carries the step's marks (see marks.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import CannotTell, Found, Intent, Json, LookupAnswer, Never, Undo
from tasks.stripe.client import api
from tasks.stripe.marks import CLOCKS_DIFFER, KEY_LIFE, metadata_of

_PAGE = 100
_MAX_PAGES = 30
_TOO_LONG = "Stripe lists more {} than are read"


@dataclass(frozen=True)
class Kind:
    """A kind of objects. `calls` is the place of its calls in the SDK, such as
    `checkout.sessions`; the calls have the same names in the record. All raise an Outcome."""

    calls: str

    def create(self, params: Json, key: str) -> Json:
        """Create an object."""
        return self._perform("create", params, {"idempotency_key": key}, repeatable=False)

    def retrieve(self, object_id: str, *expand: str) -> Json:
        """Read an object, with the objects in it that `expand` names."""
        params = {"expand": list(expand)} if expand else {}
        return self._perform("retrieve", object_id, params, repeatable=True)

    def update(self, object_id: str, params: Json) -> Json:
        """Set fields of an object; a second update with the same values changes nothing."""
        return self._perform("update", object_id, params, repeatable=True)

    def end(self, verb: str, object_id: str) -> Json:
        """Delete, cancel, expire or detach an object, which Stripe does once."""
        return self._perform(verb, object_id, repeatable=True)

    def do(self, verb: str, object_id: str, params: Json, key: str) -> Json:
        """Do something with an object."""
        options = {"idempotency_key": key}
        return self._perform(verb, object_id, params, options, repeatable=False)

    def page(self, params: Json) -> Json:
        """A page of the list: {data, has_more}."""
        return self._perform("list", params, repeatable=True)

    def marked(self, marks: Json, since: datetime, until: datetime) -> list[Json] | None:
        """The objects created in the interval that carry these marks, the newest first.

        None if the interval has more objects than are read, which is 3000. The list is strongly
        consistent, which Stripe's search is not: https://docs.stripe.com/search#data-freshness
        """
        params: Json = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "limit": _PAGE,
        }
        found: list[Json] = []
        for _ in range(_MAX_PAGES):
            page = self.page(params)
            found += [each for each in page["data"] if marks.items() <= metadata_of(each).items()]
            if not page["has_more"]:
                return found
            params = params | {"starting_after": page["data"][-1]["id"]}
        return None

    def _perform(self, verb: str, *given: object, repeatable: bool) -> Json:
        return api().perform(
            f"{self.calls}.{verb}",
            lambda v1: getattr(attrgetter(self.calls)(v1), verb)(*given),
            repeatable=repeatable,
        )


def find_made(kind: Kind, intent: Intent, summary: Callable[[Json], Json]) -> LookupAnswer:
    """Look for the object of an open creation by its marks in Stripe's list.

    `summary` makes the response that the action would have recorded.
    """
    found = made_with(kind, intent)
    if found is None:
        return CannotTell(300.0, _TOO_LONG.format(kind.calls))
    return Found(summary(found[0])) if found else Never()


def made_with(kind: Kind, intent: Intent) -> list[Json] | None:
    """The objects that a creation has made whose outcome is unknown, at most one; None if Stripe
    lists more objects than are read."""
    sent = intent.first_sent_at
    # The author's own metadata may have been changed since.
    marks = {name: intent.request["metadata"][name] for name in ("reference", "generation")}
    return kind.marked(marks, sent - CLOCKS_DIFFER, sent + KEY_LIFE)


def made_by(call: Call, undo: Undo, kind: Kind, name: str) -> list[str]:
    """The ids of all objects of the kind that the step has made, each generation its own.

    `name` is the id's name in the recorded responses. Raises Retryable if Stripe cannot tell.
    """
    made = [intent for intent in undo.intents if intent.operation == f"{kind.calls}.create"]
    recorded = [str(intent.response[name]) for intent in made if intent.response]
    if not made or (recorded and all(intent.resolution is not None for intent in made)):
        return recorded
    first, last = made[0].first_sent_at, made[-1].first_sent_at
    marks = {"reference": call.reference}
    found = kind.marked(marks, first - CLOCKS_DIFFER, last + KEY_LIFE)
    if found is None:
        raise too_long(kind)
    return [each["id"] for each in found]


def too_long(kind: Kind) -> Retryable:
    """The error if Stripe lists more objects than are read."""
    return Retryable(_TOO_LONG.format(kind.calls), code="list_too_long", after=300.0)


def is_sent(call: Call, operation: str) -> bool:
    """Whether a call of this generation is recorded that took effect, or may have.

    Its request is recorded too, so nothing needs to be read for it again. A read that fails would
    end a step that has done its work.
    """
    return any(each.generation == call.generation for each in call.sendings(operation))


def first_of(results: list[str], order: tuple[str, ...]) -> str:
    """The result of a compensation that has treated several objects, by its importance."""
    return next((each for each in order if each in results), "nothing")


def require_own(call: Call, seen: Json) -> None:
    """Make sure that an object that any workflow of the organisation may use is the organisation's.

    Such objects are customers and products; those made elsewhere carry no mark, and are accepted.
    Raises Permanent if the object is another organisation's, or is deleted.
    """
    if seen.get("deleted"):
        raise Permanent(f"{seen['id']} is deleted", code="deleted", detail={"object": seen["id"]})
    call.require_own_organisation(seen["id"], metadata_of(seen).get("reference"))
