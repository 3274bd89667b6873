"""What the generations are made of, how their books are compared, and a run of full size."""

from collections import Counter
from typing import Any

import pytest

from tests.generations.books import FINDINGS, Ours, Sent, Theirs, compared
from tests.generations.kinds import KINDS, TROUBLES
from tests.generations.mix import make_generations, trouble_of
from tests.generations.run import run

LOST, OWN = 900, 21


def test_five_percent_of_the_generations_have_each_trouble() -> None:
    made = make_generations(1, 1000, 60.0, ["a", "b"])
    assert made == make_generations(1, 1000, 60.0, ["a", "b"])
    troubles = Counter(each for item in made if (each := trouble_of(item)))
    assert troubles == dict.fromkeys(TROUBLES, 50)
    assert {item.type for item in made} == {kind.type for kind in KINDS}
    faulty = [item for item in made if trouble_of(item) not in (None, "refused")]
    assert all(item.fault for item in faulty)


def sent(**more: Any) -> Sent:
    known = {"resolution": "accepted", "effect_id": "resp_2"}
    return Sent("w", "make", 0, 0, "responses.create", "k", **(known | more))


def ours(made: Sent, **booked: int) -> Ours:
    names = {("w", name.replace("__", " ")): cost for name, cost in booked.items()}
    return Ours([made], names, {}, {"w": sum(booked.values())})


def vendors(*ids: str, key: str | None = "k", amount: str = "20.5") -> Theirs:
    return Theirs(
        {each: {"effect": "captions", "object_id": each, "key": key} for each in ids},
        {each: {"object_id": each, "item": "m", "micro_usd": amount} for each in ids},
    )


def found(record: Ours, books: Theirs, status: str = "succeeded") -> dict[str, list[str]]:
    return dict(compared(record, books, {"w": status}).findings)


def test_books_that_agree_have_no_finding() -> None:
    assert found(ours(sent(), resp_2=OWN), vendors("resp_2")) == {}
    twice = compared(
        ours(sent(), resp_2=OWN, k__at__1=LOST), vendors("resp_1", "resp_2"), {"w": "succeeded"}
    )
    assert twice.findings == {}
    assert len(twice.paid_twice) == 1
    unpaid = compared(ours(sent(), resp_2=OWN, k__at__1=LOST), vendors("resp_2"), {"w": "failed"})
    assert set(unpaid.findings) == {"not undone"}


@pytest.mark.parametrize(
    ("record", "books", "names"),
    [
        (ours(sent(), resp_2=OWN), vendors("resp_1", "resp_2"), {"doubled", "not booked"}),
        (ours(sent(), resp_2=OWN), Theirs(), {"not known there", "another's", "other cost"}),
        (ours(sent(), resp_2=OWN + 1), vendors("resp_2"), {"other cost"}),
        (ours(sent(), resp_2=OWN - 1), vendors("resp_2"), {"other cost"}),
        (ours(sent()), vendors("resp_2"), {"not booked"}),
        (ours(sent(), resp_2=OWN, resp_9=3), vendors("resp_2"), {"not billed"}),
        (ours(sent(resolution=None)), vendors(), {"undecided"}),
        (
            ours(sent(), resp_2=OWN, k__at__1=20),
            vendors("resp_1", "resp_2"),
            {"not booked"},
        ),
        (ours(sent(), resp_2=OWN), vendors("resp_2", key="other"), set()),
        (
            ours(sent(effect_id=None)),
            vendors("resp_2", key="x"),
            {"not known to us", "not known there"},
        ),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_found(record: Ours, books: Theirs, names: set[str]) -> None:
    assert set(found(record, books)) == names <= set(FINDINGS)


def test_a_text_that_is_left_is_found_unless_its_id_was_never_told() -> None:
    lost = compared(
        ours(sent(resolution="refused", effect_id=None), k__at__1=LOST),
        vendors("resp_1"),
        {"w": "failed"},
    )
    assert lost.findings == {}
    assert len(lost.kept) == 1
    assert set(found(ours(sent(), resp_2=OWN), vendors("resp_2"), "failed")) == {"not undone"}


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_the_books_of_a_thousand_generations_agree(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    report = run(tmp_path_factory.mktemp("generations") / "data", 1, 1000, 300.0)
    assert report.is_good, report
    assert report.ends["succeeded"] > 500
