"""Card numbers are found in texts, and other numbers are not taken for them."""

import json
import random
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.card_numbers import refuse_masked
from app.cards import (
    MASK,
    Suspect,
    is_certain,
    masked,
    masked_values,
    may_hold,
    suspects,
    without_certain,
)
from app.engine.moves import finish_of
from app.engine.prepared import Prepared
from app.errors import Permanent
from app.platform import Json

# Of https://docs.stripe.com/testing.
NUMBERS = (
    "4242424242424242", "4000056655665556", "5555555555554444", "2223003122003222",
    "378282246310005", "6011111111111117", "3056930009020004", "36227206271667",
    "6555900000604105", "3566002020360505", "6200000000000005", "6205500000000000004",
)  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_the_numbers_of_each_network_are_found(number: str) -> None:
    (found,) = suspects(f"order {number}, please")
    assert (found.last4, found.is_certain) == (number[-4:], False)
    for name in ("card", "cardNumber", "card_number", "CVV", "credit-card"):
        assert is_certain(number, name)
    for around in (f"my card: {number}", f"{number} exp 12/30", f"VISA\n{number}"):
        assert is_certain(around)
        assert number not in masked(around)
    for name in ("discard", "id", "span", "expected", "order"):
        assert not is_certain(number, name)


GROUPED = ("4242 4242 4242 4242", "5555-5555-5555-4444", "3782 822463 10005")


@pytest.mark.parametrize("number", GROUPED)
def test_a_number_in_groups_as_on_a_card_is_certain(number: str) -> None:
    assert is_certain(f"here: {number}.")
    assert is_certain(f"here: {number} 12/30")
    assert not is_certain(f"here: {number} 1234")


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424241",  # a wrong check digit
        "9999999999999995",  # of no network
        "42424242424242424242",  # too long
        "0.4242424242424242",
        "a4242424242424242",
        "4242424242424242x",
        "2026-11-30T12:00:00.123456Z",
    ],
)
def test_other_numbers_are_not_suspected(text: str) -> None:
    assert list(suspects(text, "card")) == []


@given(st.text(), st.sampled_from(NUMBERS), st.text())
def test_nothing_but_the_number_is_masked(before: str, number: str, after: str) -> None:
    whole = masked(f"{before} is {number} is {after}")
    assert number not in whole
    assert MASK.format(number[-4:]) in whole


LONG = ("4242424242424242 ", "4 ", "4-4 ", "4", "4-", "4 4.4 ", "1234 ")


@pytest.mark.parametrize("piece", LONG)
@pytest.mark.parametrize("end", ["", "x"])
def test_a_long_text_takes_work_in_proportion(piece: str, end: str) -> None:
    def work(times: int) -> float:
        began = time.thread_time()
        list(suspects(piece * times + end, "card"))
        return time.thread_time() - began

    size = 60_000 // len(piece)
    work(size)
    assert work(8 * size) < 30 * work(size) + 0.05


def test_values_are_masked_in_lists_and_objects() -> None:
    given = {"a": ["4242424242424242", 3], "b": {"c": ("x",)}}
    assert masked_values(given) == {"a": [MASK.format("4242"), 3], "b": {"c": ("x",)}}


@pytest.mark.parametrize(
    "value",
    [
        4242424242424242,
        4242424242424242.0,
        {"4242424242424242": 1},
        {"a": [[[[[["4242 4242 4242 4242"]]]]]]},
        [{"a": {"b": {"c": {"d": {"e": 4242424242424242}}}}}],
    ],
)
def test_no_log_shows_a_number_however_it_is_given(value: object) -> None:
    assert "4242424242424242" not in json.dumps(masked_values(value)).replace(" ", "")
    assert MASK.format("4242") in json.dumps(masked_values(value))


CERTAIN = MASK.format("4242")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"note": "card 4242424242424242"}, {"note": f"card {CERTAIN}"}),
        ({"note": ["ok", "4242 4242 4242 4242"]}, {"note": ["ok", CERTAIN]}),
        ({"pan": 4242424242424242}, {"pan": CERTAIN}),
        ({"pan": 4242424242424242.0}, {"pan": CERTAIN}),
        ({"card": {"number": "4242424242424242"}}, {"card": {"number": CERTAIN}}),
        ({"cards": [{"value": "4242424242424242"}]}, {"cards": [{"value": CERTAIN}]}),
        ({"4242-4242-4242-4242": True}, {CERTAIN: True}),
    ],
)
def test_a_certain_number_is_masked_in_a_value(value: Json, kept: Json) -> None:
    found: list[Suspect] = []
    assert without_certain(value, found) == kept
    assert [each.is_certain for each in found] == [True]
    assert may_hold(value)


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.example/pay?cc=4242424242424242&lang=de",
        "n=4242424242424242&exp=1230",
        "n=4242424242424242&exp=12%2F2030",
        "n=4242424242424242&expiry=9/30",
    ],
)
def test_a_parameter_with_a_card_in_it_speaks_of_a_card(text: str) -> None:
    assert is_certain(text)


@pytest.mark.parametrize(
    "value",
    [
        "https://cdn.example.com/f?id=4242424242424242&exp=1764500000",
        "https://cdn.example.com/f?exp=3600&id=4242424242424242&cc=de",
        "https://cdn.example.com/4242424242424242?X-Amz-Expires=900",
        {"id": "4242424242424242"},
        {"order": {"number": "4242424242424242"}},
        {"card": {"id": 4242424242424242}},
        "the order 4242424242424242, and far away from it, at the very end, a card",
    ],
)
def test_an_id_that_looks_like_a_card_number_is_found_and_left(value: object) -> None:
    found: list[Suspect] = []
    assert without_certain(value, found) == value
    assert [each.is_certain for each in found] == [False]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.from_regex(r"[4 -]{0,9}4242[ -]?4242[ -]?4242[ -]?424[0-9][ -]?", fullmatch=True),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(NUMBERS), inner),
)


@given(VALUES)
def test_the_cheap_look_at_digits_misses_no_number(value: object) -> None:
    found: list[Suspect] = []
    without_certain(value, found)
    assert may_hold(value) or not found


def test_a_number_that_an_expression_sets_beside_a_word_is_masked_in_the_output() -> None:
    prepared = Prepared({}, workflow_output=lambda output, *rest: {"card": output["id"]})
    finish = finish_of(prepared, "succeeded", {"id": "4242424242424242"})
    assert finish.workflow_output == {"card": CERTAIN}


def test_an_error_repeats_no_card_number() -> None:
    assert "4242424242424242" not in Permanent("declined: 4242424242424242").message


def ordinary(chance: random.Random) -> str:
    """What people and programs write into the inputs of workflows."""
    number = chance.randrange(10**15, 10**16)
    return chance.choice(
        (
            lambda: str(uuid.UUID(int=chance.getrandbits(128))),
            lambda: f"{chance.getrandbits(256):064x}",
            lambda: str(chance.randrange(1_700_000_000_000, 1_800_000_000_000)),
            lambda: str(chance.randrange(1_700_000_000_000_000, 1_800_000_000_000_000)),
            lambda: str(chance.randrange(10**17, 10**19)),  # a snowflake
            lambda: f"order {number} of {chance.randrange(1, 99)} pieces",
            lambda: f"+{chance.randrange(10**10, 10**12)} ext {chance.randrange(1000)}",
            lambda: f"DE{chance.randrange(10**19, 10**20)}",  # an IBAN
            lambda: f"1Z{chance.randrange(10**15, 10**16)}",
            lambda: f"{chance.randrange(1, 9)} cards on a table, {chance.random():.15f}",
            lambda: f"https://example.com/i/{number}/{chance.getrandbits(64):x}.jpg",
            lambda: " ".join(str(chance.randrange(10**4)) for _ in range(6)),
        )
    )()


@pytest.mark.long
def test_few_ordinary_inputs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    chance, count = random.Random(15), 100_000
    texts = [ordinary(chance) for _ in range(count)]
    suspected = sum(any(suspects(text)) for text in texts)
    refused = sum(map(is_certain, texts))
    with capsys.disabled():
        print(f"\nof {count:,} ordinary inputs {suspected:,} are suspected, {refused:,} refused")
    assert refused <= count // 10_000
    assert suspected <= count // 50


MASKED = MASK.format("4242")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"id": MASKED}, "/id"),
        ({"orders": [{"giftCardId": f"gc-{MASKED}"}]}, "/orders/0/giftCardId"),
        ({"ids": ["a", MASKED]}, "/ids/1"),
        ({"image": f"https://a.example/{MASKED}?w=1"}, "/image"),
        ({"image": "https://a.example/card%20number%20ending%20in%204242"}, "/image"),
        ({"lookup": {"query": {"card": MASKED}}}, "/lookup/query/card"),
    ],
)
def test_a_masked_id_or_address_is_refused(value: Json, place: str) -> None:
    with pytest.raises(Permanent) as caught:
        refuse_masked(value, "input", "Correct it")
    assert caught.value.message.startswith(f"input {place} is ")


@pytest.mark.parametrize(
    "value",
    [
        {"caption": f"paid by {MASKED}", "card": MASKED, "about": [MASKED]},
        {"note": f"see https://a.example and {MASKED}"},
        {"query": {"q": f"paid by {MASKED}"}},
        {"id": "in_4242", "url": "https://a.example/a-card-number"},
    ],
)
def test_a_text_for_people_may_hold_a_masked_number(value: Json) -> None:
    refuse_masked(value, "input", "Correct it")
