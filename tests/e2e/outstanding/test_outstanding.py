"""Hundreds of generations are outstanding with four slots, and others' workflows are unhindered.

To add a kind of what is outstanding, add an entry to OUTSTANDING: a step, how many workflows have
it, and what holds the vendor back and lets it go on.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from ops.sandbox.replicate.gallery import PAINTER, WORDS
from tests.e2e.definitions import ended, register, started
from tests.e2e.instance import make_key, running_instance
from tests.e2e.neighbours.inputs import Sender
from tests.e2e.neighbours.pace import p95
from tests.e2e.stack import Json, Stack, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

SLOTS = "4"
STARTERS = 4
RUNS = 200
MOST_SECONDS = 0.1
BEGIN_SECONDS, END_SECONDS = 300.0, 300.0


@dataclass(frozen=True)
class Outstanding:
    """So many workflows of one step that waits at its vendor while that is held back: `hold` is
    called with True, and with False to let it go on."""

    name: str
    number: int
    step: Json
    hold: Callable[[Stack, bool], None]

    @property
    def definition(self) -> Json:
        """The workflow type."""
        return {"name": f"outstanding_{self.name}", "do": {"step": "make", **self.step}}


def _setting(name: str) -> Callable[[Stack, bool], None]:
    """What holds a vendor back by a setting of the sandbox."""
    return lambda stack, is_held: stack.control("PUT", "/settings", {name: is_held})


OUTSTANDING = (
    Outstanding(
        "responses",
        200,
        {
            "action": "openai.respond",
            "with": {"input": {"$": "input.text"}, "background": True},
        },
        _setting("openai.hold"),
    ),
    Outstanding(
        "predictions",
        500,
        {
            "action": "replicate.predict",
            "with": {"model": WORDS.full_name, "input": {"prompt": {"$": "input.text"}}},
        },
        _setting("replicate.hold"),
    ),
)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An instance with four slots, which polls the vendors as a plain installation does."""
    polls = {"OPENAI_POLL_SECONDS": "60", "REPLICATE_POLL_SECONDS": "120"}
    folder = tmp_path_factory.mktemp("outstanding")
    with running_instance(folder, "--threads", SLOTS, **polls) as stack:
        yield stack


def test_others_are_unhindered_beside_hundreds_of_outstanding_generations(
    instance: Stack,
) -> None:
    stack = instance
    neighbour = Sender(stack.profile.url, make_key(stack.profile, "neighbour@example.com"))
    p95(neighbour, RUNS // 4)
    alone = p95(neighbour, RUNS)
    for each in OUTSTANDING:
        register(stack, each.definition)
        each.hold(stack, True)
    with ThreadPoolExecutor(STARTERS + 1) as pool:
        work = [(each, number) for each in OUTSTANDING for number in range(each.number)]
        starting = [pool.submit(_start, stack.profile.url, stack.key, *each) for each in work]
        beginning = p95(neighbour, RUNS)
        ids = [each.result() for each in starting]
    wanted = len(ids)
    until("all to wait", lambda: _waiting(stack) == wanted, BEGIN_SECONDS, stack.dump)
    beside = p95(neighbour, RUNS)
    assert _waiting(stack) == wanted
    for each in OUTSTANDING:
        each.hold(stack, False)
    until("all to end", lambda: _running(stack) == 0, END_SECONDS, stack.dump)
    told = ", ".join(
        f"{name} {seconds * 1000:.0f} ms"
        for name, seconds in (("alone", alone), ("while they begin", beginning), ("beside", beside))
    )
    print(f"\n{wanted} outstanding, {SLOTS} slots; a neighbour's p95: {told}")
    rows = stack.rows(
        "SELECT type, status, count(*) AS n FROM workflows WHERE type LIKE 'outstanding%%'"
        " GROUP BY 1, 2"
    )
    assert {(row["type"], row["status"]): row["n"] for row in rows} == {
        (each.definition["name"], "succeeded"): each.number for each in OUTSTANDING
    }
    assert beside <= max(2 * alone, MOST_SECONDS)


def _start(url: str, key: str, each: Outstanding, number: int) -> str:
    sender = Sender(url, key)
    given = {"text": f"A poster of {each.name} {number}"}
    answer = sender.send(
        "POST", "/v1/workflows", json={"type": each.definition["name"], "input": given}
    )
    sender.session.close()
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _waiting(stack: Stack) -> int:
    sql = "SELECT count(*) AS n FROM steps WHERE status = 'waiting' AND external_id IS NOT NULL"
    return int(stack.rows(sql)[0]["n"])


def _running(stack: Stack) -> int:
    return int(stack.rows("SELECT count(*) AS n FROM workflows WHERE completed_at IS NULL")[0]["n"])


@dataclass(frozen=True)
class Create:
    """A kind of call whose answer is lost: `operation` is the vendor's name of it, and `recorded`
    ours. It is adopted, or else written off under its name and made again."""

    name: str
    step: Json
    operation: str
    recorded: str
    effect: str
    is_adopted: bool

    @property
    def definition(self) -> Json:
        """The workflow type."""
        return {"name": f"lost_{self.name}", "do": {"step": "make", **self.step}}


def _text(action: str, **given: object) -> Json:
    return {"action": action, "with": given}


CREATES = (
    Create(
        "response_in_the_background",
        _text("openai.respond", input="A circus", background=True),
        "responses.create", "responses.create", "captions", is_adopted=True,
    ),
    Create(
        "response_at_once",
        _text("openai.respond", input="A circus", background=False),
        "responses.create", "responses.create", "captions", is_adopted=False,
    ),
    Create(
        "caption", _text("openai.caption", brief="A circus"),
        "chat.completions.create", "chat.completions.create", "captions", is_adopted=False,
    ),
    Create(
        "vectors", _text("openai.embed", texts=["A circus"]),
        "embeddings.create", "embeddings.create", "embeddings", is_adopted=False,
    ),
    Create(
        "prediction_by_version",
        _text("replicate.predict", model=WORDS.full_name, input={"prompt": "A circus"}),
        "predictions.create", "predictions.create", "predictions", is_adopted=True,
    ),
    Create(
        "prediction_of_an_official_model",
        _text("replicate.predict", model=PAINTER.full_name, input={"prompt": "A circus"}),
        "models.predictions.create", "predictions.create", "predictions", is_adopted=True,
    ),
)  # fmt: skip


@pytest.mark.parametrize("create", CREATES, ids=lambda each: each.name)
def test_a_lost_create_is_adopted_or_named(instance: Stack, create: Create) -> None:
    stack = instance
    stack.calm()
    register(stack, create.definition)
    before = len(stack.journal())
    hits = stack.fault("*", create.operation, "lost_reply")
    workflow = started(stack, create.definition["name"], {})
    shown = ended(stack, workflow, 180.0)
    assert (shown["status"], hits()) == ("succeeded", 1), stack.dump()
    made = [each for each in stack.journal()[before:] if each["effect"] == create.effect]
    (intent,) = stack.rows(
        "SELECT key, resolution FROM intents WHERE workflow_id = %s AND operation = %s",
        workflow, create.recorded,
    )  # fmt: skip
    named = stack.rows(
        "SELECT effect, cost FROM booked_effects WHERE workflow_id = %s AND effect LIKE %s",
        workflow, f"{intent['key']} at %",
    )  # fmt: skip
    assert intent["resolution"] == "accepted"
    if create.is_adopted:
        assert (len(made), named) == (1, [])
    else:
        assert (len(made), len(named)) == (2, 1)
        assert named[0]["cost"] > 0
