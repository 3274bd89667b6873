"""Let a model answer within a day, for half the price: a line of a batch.

Invariant: a call of a step is one line, and a line is answered once, whatever batches it is sent
in. The step waits without a worker; the carrier (chains/batches) gathers, sends and reads, and
wakes it.

What OpenAI works on runs on if its step is cancelled: its cost is booked, and its answer dropped.
"""

from datetime import timedelta

from app.batches import lines
from app.batches.lines import StepLine
from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.platform import Effect, Json, Made, Reuse, Undo, action
from tasks import tariffs
from tasks.openai.batches.results import is_priced
from tasks.openai.batches.sending import ENDPOINT, file_line
from tasks.openai.costs import BATCH, cost, most
from tasks.openai.responses import answers
from tasks.openai.responses.inputs import RespondInput, model_of
from tasks.openai.responses.requests import body_of, most_read
from tasks.openai.responses.responding import Response, respond
from tasks.openai.settings import OpenAISettings
from tasks.reuse import age_seconds
from tasks.signatures import text_at

LINE = "batches.line"
"""The operation under which the call of a step is recorded that is a line."""
_POLL_SECONDS = 3600.0
"""The time between two looks at the line, which wakes its step when it ends."""
_WAIT_DAYS = 7
_KNOWN_FOR = timedelta(days=3650)
"""Our own record knows a line for as long as its step can ask for it."""


class BatchInput(RespondInput):
    """What a model is asked; `ops/guide/definitions.md` explains the fields. A batch has its own
    level of service, and no answer comes at once. A line is answered once, by one model."""

    service_tier: None = None
    background: None = None
    route: None = None
    quality: None = None


def _names(operation: str, response: Json) -> Made:
    return Made(effect_id=text_at(response, "line"))


@action(
    "openai.batch",
    input=BatchInput,
    effect=Effect.IDEMPOTENT,
    key_life=_KNOWN_FOR,
    names=_names,
)
def batch(call: Call, given: BatchInput) -> Json:
    """Let a model answer in a batch: {text, answer, response, model, tier, tokens}.

    Raises Permanent as `openai.respond` does, and with OpenAI's code for a line that it refuses;
    `batch_expired` if it has not come to the line within a day, several times, and `line_missing`
    if neither of the batch's files has it.
    """
    where = "the step's `model`, or OPENAI_RESPOND_MODEL"
    tariffs.require_alive(call, "openai", model_of(given), operation=LINE, setting=where)
    made = call.once(LINE, request_of(given), lambda request, _: _add(call, request))
    line, found = str(made["line"]), lines.read(str(made["line"]))
    if found is None:
        raise Permanent("the line was deleted long after its end", code="line_gone")
    if found.state in ("waiting", "sent"):
        raise Suspend(line, poll_seconds=_POLL_SECONDS)
    _book(call, line, found)
    seen = _answer_of(line, found)
    answers.require_whole(seen, given.max_output_tokens)
    return answers.output_of(seen, given.answer_schema)


def request_of(given: RespondInput) -> Json:
    """The body of a line; OpenAI keeps no response that would have to be deleted."""
    body = body_of(given)
    del body["service_tier"]
    return body | {"store": False}


def _add(call: Call, request: Json) -> Json:
    """Record the line of a call. Raises Permanent if it is too large for any batch."""
    size = len(file_line("0" * 36, call, request))
    limit = OpenAISettings.current().batch_bytes
    if size > limit:
        raise Permanent(
            f"the line has {size:,} bytes, and a batch at most {limit:,} (OPENAI_BATCH_BYTES)",
            code="line_too_large",
        )
    given = (call.claim, call.ordinal - 1, "openai", ENDPOINT, str(request["model"]))
    return {"line": lines.add(*given, size=size, ceiling=ceiling(request))}


def _book(call: Call, line: str, found: StepLine) -> None:
    """Book what a line that has ended has cost, once.

    That one without an answer has cost nothing is booked as well, so that its step gives back what
    it has reserved. If OpenAI does not tell the tokens of an answer, what the line may have cost
    counts; only for a response that has failed, that is nothing.
    """
    seen = found.answer
    if seen is None:
        call.spend(found.cost, of=line, model=found.model)
    elif is_priced(seen):
        tariffs.spend(call, "openai", cost(seen), of=line, model=seen["model"])
    else:
        tariffs.assume(call, "openai", found.cost, of=line, model=seen["model"])


def _answer_of(line: str, found: StepLine) -> Json:
    """The answer to a line that has ended. Raises Permanent if there is none."""
    if found.answer is not None:
        return found.answer
    error = found.error or {
        "code": "answer_gone",
        "message": f"the line is {found.state}, and its answer was dropped with its step: retry the"
        " step by a new call",
    }
    raise Permanent(str(error["message"]), code=str(error["code"]), detail={"line": line})


def ceiling(request: Json) -> int:
    """The most that a line may cost, in micro-USD: half of what its model costs at once."""
    return most(request["model"], most_read(request), request["max_output_tokens"], BATCH)


@batch.costs_at_most
def batch_ceiling(given: BatchInput) -> int:
    """The cost of the one answer that is paid for, if it is as long as it may be."""
    return ceiling(request_of(given))


@batch.compensation
def drop(call: Call, undo: Undo) -> Json:
    """Drop the step's lines: one that is not sent costs nothing, and one that OpenAI works on runs
    on."""
    known = lines.of_step(call.workflow_id, undo.step_key)
    if undo.is_orphan:
        known = [each for each in known if each == undo.external_id]
    results = {_drop(call, each) for each in known}
    order = ("runs_on", "ended", "removed", "already")
    return {"result": next((each for each in order if each in results), "nothing"), "lines": known}


def _drop(call: Call, line: str) -> str:
    result = lines.drop(line)
    found = lines.read(line) if result == "ended" else None
    if found is not None and found.cost:
        _book(call, line, found)
    return result


batch.wait_seconds = _WAIT_DAYS * 86_400.0
batch.describe(output=Response, example={"input": "Sort the letter.", "max_output_tokens": 500})
assert respond.reuse is not None
batch.reuse = Reuse(
    account=respond.reuse.account,
    request=respond.reuse.request,
    seconds=lambda given: age_seconds(given, OpenAISettings.current().cache_seconds),
    # An answer may take a day, and equal lines cost little: no step waits for another's.
    making_seconds=lambda: 0.0,
    adopt=respond.reuse.adopt,
)
