"""Finds out what became of a step's calls whose answers were lost.

Predictions and trainings have neither metadata nor idempotency keys. These things tell whose one
is:

- the address that its webhooks go to, which names the step. A webhook that has arrived tells it,
  and so does a list that shows the address;
- the addresses of the files that a step has uploaded;
- for any other, all that was asked for: the version, model or deployment, the whole input, and how
  long it may live, as each step asks for another number of seconds (see `lifetime`).

Invariant: what a recorded call has made is taken for no other call, and what a lookup takes is
claimed for its step before. So two lost calls never take the same. What may be the step's, and may
be another's, is neither taken nor denied.
"""

import hashlib
import mimetypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from math import ceil
from urllib.parse import parse_qs, urlencode, urlsplit

from app.engine.call import Call
from app.errors import Retryable
from app.keys import HOOK_STEP
from app.platform import CannotTell, Found, Intent, Json, LookupAnswer, Never, Undo
from app.protocol import deliveries, intents, objects
from tasks.replicate.answers import time_or_none
from tasks.replicate.client import ReplicateApi, api

CREATE = "predictions.create"
ATTEMPT_SECONDS = 90.0
"""A call is sent within an attempt, and never again before it is known what became of it."""
CLOCKS_DIFFER = timedelta(minutes=5)
_LIST_LAG = timedelta(seconds=60)
_LEAST_LIFETIME, _LEAST_MARKS = 30, 120
_SAME_SECONDS = 1.0
_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 15.0, 600.0
_UNSURE_SECONDS = 60.0


def hook_url(call: Call) -> str:
    """The address of the webhooks about what this generation of the step makes.

    https://replicate.com/docs/topics/webhooks/setup-webhook
    """
    marks = {HOOK_STEP: call.reference, "generation": call.generation}
    return f"{call.hook_url}?{urlencode(marks)}"


def lifetime(call: Call) -> int:
    """After how many seconds Replicate ends a prediction of the step (`Cancel-After`): soon after
    the step's time-out, and for each step at another second, within a twentieth of the time-out
    or two minutes."""
    seconds = max(_LEAST_LIFETIME, ceil(call.timeout_seconds))
    distinct = f"{call.reference} {call.generation} {call.ordinal}"
    mark = int.from_bytes(hashlib.sha256(distinct.encode()).digest()[:4])
    return seconds + mark % max(_LEAST_MARKS, seconds // 20)


class Likeness(Enum):
    """How alike a listed prediction or training is what a call has asked for."""

    OTHER = 0
    UNSURE = 1  # something that would tell is not shown
    SAME = 2  # all that was asked for is the same
    OWN = 3  # it names the step


@dataclass(frozen=True)
class Jobs:
    """The predictions or the trainings, as a lookup reads them.

    `read(id)` is one as Replicate sends it, None if it is gone. `listed(since, until, is_wanted)`
    are those that were created between these times, newest first. `likeness(request, seen)`
    compares. `is_rival(request, other)`: whether the call with the other request may have made
    what this one seems to have made. `is_contested(request, other, seen)`: whether it matters
    which of both then takes it.
    """

    kind: str
    read: Callable[[str], Json | None]
    listed: Callable[[datetime, datetime, Callable[[Json], bool]], Iterator[Json]]
    likeness: Callable[[Json, Json], Likeness]
    is_rival: Callable[[Json, Json], bool]
    is_contested: Callable[[Json, Json, Json], bool]


def find(call: Call, intent: Intent) -> LookupAnswer:
    """Look for a call's effect in Replicate's lists, which may lag behind."""
    replicate = api()
    if intent.operation != CREATE:
        # An upload may be repeated, so a file that is not found is uploaded at once.
        since = intent.first_sent_at - CLOCKS_DIFFER
        files = replicate.files_with(intent.request["metadata"], since)
        return Found(files[0] if files else upload(call, replicate, intent.request))
    predictions = Jobs(
        "prediction",
        replicate.sent_prediction,
        replicate.predictions,
        likeness,
        lambda own, other: _decisive(own) == _decisive(other),
        lambda own, other, seen: False,
    )
    return find_job(call, intent, predictions)


def find_job(call: Call, intent: Intent, jobs: Jobs) -> LookupAnswer:
    """Whether a call has made a prediction or a training, and which: {id, status}.

    Only the time in which the step may have made it is read, however long ago that is and however
    many the account has made since then.
    """
    since = intent.first_sent_at - CLOCKS_DIFFER
    until = intent.first_sent_at + timedelta(seconds=ATTEMPT_SECONDS) + CLOCKS_DIFFER
    own = _reported(call, intent, jobs, since, until)
    alike: dict[Likeness, list[Json]] = {each: [] for each in Likeness}
    if not own:
        for seen in jobs.listed(since, until, lambda it: _is_wanted(jobs, intent, it)):
            found = jobs.likeness(intent.request, seen)
            if found is not Likeness.OTHER:
                alike[found].append(seen)
            if own := alike[Likeness.OWN]:
                break
    if own:
        return _taken(call, jobs, own[0])
    same, unsure = (alike[each] for each in (Likeness.SAME, Likeness.UNSURE))
    same, unsure = _free(call, jobs, same, unsure)
    if same:
        return _choice(call, intent, jobs, same)
    if unsure:
        words = f"Replicate does not show whether one of {len(unsure)} {jobs.kind}s is this step's"
        return CannotTell(_UNSURE_SECONDS, words)
    left = _LIST_LAG.total_seconds() - call.age_seconds(intent)
    if left > 0:
        words = f"Replicate's list may not show a new {jobs.kind} yet"
        return CannotTell(min(left, _PAUSE_SECONDS), words)
    return Never()


def _is_wanted(jobs: Jobs, intent: Intent, seen: Json) -> bool:
    return jobs.likeness(intent.request, seen) is not Likeness.OTHER


def _reported(
    call: Call, intent: Intent, jobs: Jobs, since: datetime, until: datetime
) -> list[Json]:
    """What webhooks have told of as the step's, and no call of the step has recorded.

    The time and what was asked for tell the calls of two generations apart.
    """
    told = deliveries.reported_effects(call.action.platform, call.workflow_id, call.original_key)
    found = [seen for each in told if (seen := jobs.read(each)) is not None]
    near = [
        seen for seen in found if _is_between(seen, since, until) and _is_wanted(jobs, intent, seen)
    ]
    claimed = _claimed(call, jobs, near)
    return [seen for seen in near if seen["id"] not in claimed]


def _is_between(seen: Json, since: datetime, until: datetime) -> bool:
    created = time_or_none(seen.get("created_at"))
    return created is None or since <= created <= until


def _free(call: Call, jobs: Jobs, *found: list[Json]) -> tuple[list[Json], ...]:
    """Those of what was found that no call has recorded and no other step has claimed."""
    every = [seen for each in found for seen in each]
    if not every:
        return found
    held = _claimed(call, jobs, every)
    held |= intents.recorded_effects([str(seen["id"]) for seen in every])
    return tuple([seen for seen in each if seen["id"] not in held] for each in found)


def _claimed(call: Call, jobs: Jobs, found: list[Json]) -> set[str]:
    """The ids of what other steps have claimed."""
    names = {_name(jobs, seen["id"]): str(seen["id"]) for seen in found}
    given = (call.workflow_id, call.original_key, call.action.platform, [*names])
    return {names[each] for each in objects.claimed_by_others(*given)} if names else set()


def _choice(call: Call, intent: Intent, jobs: Jobs, free: list[Json]) -> LookupAnswer:
    """What a call takes of that which it may have made, if it takes any.

    Of lost calls for the very same, it does not matter which takes what.
    """
    around = timedelta(seconds=ATTEMPT_SECONDS) + 2 * CLOCKS_DIFFER
    sent = (intent.first_sent_at - around, intent.first_sent_at + around)
    elsewhere = intents.open_elsewhere(intent.operation, call.workflow_id, call.original_key, *sent)
    rivals = [each for each in elsewhere if jobs.is_rival(intent.request, each.request)]
    if len(free) > 1 + len(rivals):
        words = f"{len(free)} {jobs.kind}s may be that of this step"
        return CannotTell(_LONG_PAUSE_SECONDS, words)
    # The oldest comes first, for all who choose.
    for seen in reversed(free):
        if any(jobs.is_contested(intent.request, each.request, seen) for each in rivals):
            words = f"another call whose answer was lost may have made the {jobs.kind}"
            return CannotTell(_LONG_PAUSE_SECONDS, words)
        answer = _taken(call, jobs, seen)
        if isinstance(answer, Found):
            return answer
    return CannotTell(_PAUSE_SECONDS, f"another step has just taken the {jobs.kind}")


def _taken(call: Call, jobs: Jobs, seen: Json) -> LookupAnswer:
    given = (call.workflow_id, call.original_key, call.action.platform, _name(jobs, seen["id"]))
    if not objects.claim_effect(*given):
        return CannotTell(_LONG_PAUSE_SECONDS, f"another step has taken the {jobs.kind}")
    return Found({"id": seen["id"], "status": seen["status"]})


def _name(jobs: Jobs, id: str) -> str:
    return f"{jobs.kind}:{id}"


def likeness(request: Json, seen: Json) -> Likeness:
    """How alike a listed prediction is what was requested so."""
    if (named := likeness_of_hook(request, seen)) is not None:
        return named
    given = likeness_of_input(request, seen)
    if request.get("is_marked"):
        return least(given, _likeness_of_target(request, seen), _likeness_of_life(request, seen))
    if _is_shown(seen):
        # A file of the step is among its inputs, which no other prediction has.
        has_files = seen["input"].items() >= request["input"].items()
        return Likeness.OWN if has_files else Likeness.OTHER
    known = least(_likeness_of_target(request, seen), _likeness_of_life(request, seen))
    return least(Likeness.UNSURE, known)


def least(*each: Likeness) -> Likeness:
    """The least alike of all."""
    return min(each, key=lambda one: one.value)


def likeness_of_hook(request: Json, seen: Json) -> Likeness | None:
    """What the address of the webhooks says, which not every answer shows; None if nothing."""
    own, shown = _is_of_a_step(request.get("webhook")), _is_of_a_step(seen.get("webhook"))
    if not own or not shown:
        return None
    return Likeness.OWN if seen["webhook"] == request["webhook"] else Likeness.OTHER


def _is_of_a_step(address: object) -> bool:
    try:
        return isinstance(address, str) and HOOK_STEP in parse_qs(urlsplit(address).query)
    except ValueError:
        return False


def likeness_of_input(request: Json, seen: Json) -> Likeness:
    """Whether a job was made of the whole input, and of nothing else.

    What has more inputs may be the same with defaults filled in.
    """
    if not _is_shown(seen):
        return Likeness.UNSURE
    given, wanted = seen["input"], request["input"]
    if given == wanted:
        return Likeness.SAME
    return Likeness.UNSURE if given.items() >= wanted.items() else Likeness.OTHER


def _is_shown(seen: Json) -> bool:
    return isinstance(seen.get("input"), dict) and not seen.get("data_removed")


def _likeness_of_target(request: Json, seen: Json) -> Likeness:
    shown = {name: seen.get(name) for name in ("deployment", "model", "version")}
    if "deployment" in request:
        # It may have had a new release since it was read for the request.
        full_name = request["deployment"]
        return likeness_of_text(shown["deployment"], full_name, full_name.partition("/")[2])
    if shown["deployment"]:
        return Likeness.OTHER
    if "official" in request:
        return likeness_of_text(shown["model"], request["official"])
    if shown["version"] == "hidden":
        return Likeness.UNSURE
    return likeness_of_text(shown["version"], str(request.get("version")))


def likeness_of_text(shown: object, *wanted: str) -> Likeness:
    """Whether a text is one of those that are wanted, in any case."""
    if not isinstance(shown, str) or not shown:
        return Likeness.UNSURE
    is_same = shown.lower() in [each.lower() for each in wanted]
    return Likeness.SAME if is_same else Likeness.OTHER


def _likeness_of_life(request: Json, seen: Json) -> Likeness:
    """Whether a prediction may live for as long as was asked for. Replicate may shorten that."""
    created, ends = (time_or_none(seen.get(name)) for name in ("created_at", "deadline"))
    if created is None or ends is None:
        return Likeness.UNSURE
    more = (ends - created).total_seconds() - float(request["cancel_after"])
    if abs(more) < _SAME_SECONDS:
        return Likeness.SAME
    return Likeness.UNSURE if more < 0 else Likeness.OTHER


def _decisive(request: Json) -> Json:
    """What of a request its prediction shows."""
    names = ("deployment", "official", "input", "cancel_after")
    version = None if "deployment" in request else request.get("version")
    return {name: request.get(name) for name in names} | {"version": version}


def made_by(
    undo: Undo, operation: str, look: Callable[[Intent], LookupAnswer], words: str
) -> str | None:
    """The id of what the step that is undone has made by the operation, None if it made nothing.

    `words` name it. Raises Retryable while a lookup cannot tell.
    """
    if undo.external_id:
        return undo.external_id
    # The newest comes first: what an earlier generation has made is undone as an orphan.
    for intent in reversed([each for each in undo.intents if each.operation == operation]):
        if intent.response is not None:
            return str(intent.response["id"])
        if intent.resolution is not None:
            continue
        answer = look(intent)
        if isinstance(answer, Found):
            return str(answer.response["id"])
        if isinstance(answer, CannotTell):
            raise Retryable(
                f"it is not known yet whether {words} was made: {answer.reason}",
                code="cannot_tell",
                after=answer.after_seconds,
            )
    return None


def upload(call: Call, replicate: ReplicateApi, request: Json) -> Json:
    """Upload the artifact of a recorded request: {id, url}."""
    blob = call.artifacts.read(request["artifact"])
    metadata: Json = request["metadata"]
    # The user's own file name is not sent, because it may be personal.
    filename = metadata["role"] + (mimetypes.guess_extension(blob.content_type) or "")
    return replicate.upload(blob.data, filename, blob.content_type, metadata)
