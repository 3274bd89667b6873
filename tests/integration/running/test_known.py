"""What a message knows of its workflow is not read again, and is what PostgreSQL would return."""

import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import db
from app.payload import clean, dumps
from app.platform import Json
from app.protocol.claims import Claim, claim_step
from app.protocol.known import MOST_PARTS, Known, stored
from app.protocol.outcomes import Attempt, Finish, advance_step, finish_step
from chains.running.prepare import prepare
from chains.running.reading import Stored, reading
from tests.integration.conftest import NOTHING, Kernel
from tests.unit.definitions import noop

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_what_is_kept_is_what_postgresql_returns(kernel: Kernel) -> None:
    @settings(max_examples=200, deadline=None)
    @given(st.lists(VALUES, min_size=1, max_size=8))
    def check(values: list[Any]) -> None:
        kept = [clean(value) for value in values]
        row = db.row("SELECT %s::jsonb AS back", (dumps(kept),))
        assert row is not None
        # As text, so that the order of names and the kind of numbers count too.
        assert json.dumps(stored(kept)) == json.dumps(row["back"])

    check()


class Counting(Stored):
    """Stored records, and how often each was read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def workflow(self, workflow_id: UUID) -> Json | None:
        self.read.append("workflow")
        return super().workflow(workflow_id)

    def steps(self, workflow_id: UUID, keys: list[str]) -> list[Json]:
        self.read += keys
        return super().steps(workflow_id, keys)


def chain(kernel: Kernel) -> str:
    reads_all = {"a": {"$": "steps.a.output"}, "b": {"$": "steps.b.status"}, "v": {"$": "input.v"}}
    steps = [noop("a", v={"$": "input.v"}), noop("b"), noop("c", **reads_all)]
    return kernel.register({"sequence": steps}, output={"$": "steps.a.output.v"})


def claimed(workflow: UUID, key: str, known: Known | None = None) -> Claim:
    found = claim_step(workflow, key, 30.0, known)
    assert isinstance(found, Claim)
    return found


def advanced(claim: Claim, output: Any, to: str) -> Claim:
    found = advance_step(claim, NOTHING, output, to, 30.0).claim
    assert found is not None
    Finish(output).tell(claim)
    return found


def test_a_chain_of_one_message_reads_nothing(kernel: Kernel) -> None:
    workflow, records = kernel.start(chain(kernel), {"v": 1e22}), Counting()
    with reading(records):
        first = claimed(workflow, "a")
        assert prepare(first).input == {"v": 10**22}
        second = advanced(first, {"v": 1e22, "long": 0.0}, "b")
        third = advanced(second, {}, "c")
        made = prepare(third)
    assert records.read == []
    with reading(records):
        again = prepare(Claim(**{**fields(third), "known": Known()}))
    assert records.read == ["a", "b", "workflow"]
    assert (
        made.input
        == again.input
        == {"a": {"v": 10**22, "long": 0.0}, "b": "succeeded", "v": 10**22}
    )


def fields(claim: Claim) -> dict[str, Any]:
    return {name: getattr(claim, name) for name in Claim.__slots__}


@pytest.mark.parametrize(
    ("text", "is_large"),
    [
        ("short", False),
        (random.Random(1).randbytes(MOST_PARTS).hex(), True),
        # A kilobyte on the disk, compressed.
        ("a" * 50_000, True),
    ],
    ids=["short", "long", "compressed"],
)
def test_what_is_large_is_read_from_postgresql(kernel: Kernel, text: str, is_large: bool) -> None:
    workflow, records = kernel.start(chain(kernel), {"v": text}), Counting()
    with reading(records):
        first = claimed(workflow, "a")
        assert prepare(first).input == {"v": text}
        third = advanced(advanced(first, {"v": text}, "b"), {}, "c")
        assert prepare(third).input["a"] == {"v": text}
    assert records.read == (["workflow", "a"] if is_large else [])


def test_an_output_that_was_not_recorded_is_not_known(kernel: Kernel) -> None:
    """A failed part whose failure is tolerated is read with its error."""
    workflow = kernel.start(chain(kernel), {"v": 1})
    claim = claimed(workflow, "a")
    error = {"code": "refused", "message": "no"}
    ended = Finish({"v": 2}, "skipped", error)
    finish_step(claim, Attempt(None, 0, []), ended)
    ended.tell(claim)
    assert claim.known.steps == {}


class Untouchable(dict[str, Any]):
    """A large object of which nobody may read more than its size."""

    def __len__(self) -> int:
        return 300_000

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("its names were read")


def test_a_large_object_is_left_out_before_its_names_are_sorted() -> None:
    known = Known()
    known.note("a", {"large": Untouchable()})
    known.note("b", [None] * 300_000)
    assert known.steps == {}
