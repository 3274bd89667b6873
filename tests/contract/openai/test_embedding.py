"""What only `openai.embed` does: vectors that stand for texts, and their cost."""

import pytest
from pydantic import ValidationError

from app.errors import Permanent, Unknown
from app.platform import Json
from tasks.openai.embedding import EmbedInput, lost_cost
from tests.contract.cases import Claim
from tests.contract.openai.cases import embed
from tests.contract.openai.test_responses import spent
from tests.contract.vendors import Vendors


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_near_texts_have_near_vectors_in_the_order_of_the_texts(step: Claim) -> None:
    texts = ["a circus in the rain", "tax law of the state", "the rain in a circus"]
    asked = step("openai.embed", {"texts": texts, "dimensions": 256})
    made = asked.run()
    circus, law, rain = made["vectors"]
    assert {len(each) for each in made["vectors"]} == {256}
    assert dot(circus, rain) > dot(circus, law)
    assert dot(circus, circus) == pytest.approx(1, abs=1e-3)
    assert (made["model"], made["tokens"] > 0) == ("text-embedding-3-small", True)
    assert 0 < spent(asked) <= asked.ceiling


def test_the_most_texts_fit_an_output(step: Claim) -> None:
    given: Json = {"texts": ["a"] * 64, "model": "text-embedding-3-large"}
    asked = step("openai.embed", given)
    asked.seconds = 20.0
    made = asked.run()
    assert [len(each) for each in made["vectors"]] == [3072] * 64
    assert asked.run() == made


def test_vectors_whose_answer_is_lost_are_booked_at_their_ceiling_and_made_again(
    step: Claim, vendors: Vendors
) -> None:
    asked = embed(step)
    vendors.fault("openai", "embeddings.create", "lost_reply")
    with pytest.raises(Unknown):
        asked.run()
    lost = lost_cost(asked.open_intent().request)
    asked.call().write_off_lost()
    asked.run()
    assert vendors.count("embeddings") == 2
    assert spent(asked) == lost + asked.cost > lost > 0


def test_what_a_model_cannot_do_is_refused_with_its_words(step: Claim, vendors: Vendors) -> None:
    given = {"texts": ["a"], "model": "text-embedding-ada-002", "dimensions": 9}
    with pytest.raises(Permanent, match="does not support specifying dimensions"):
        step("openai.embed", given).run()
    for wrong in ([], [""], ["a"] * 65):
        with pytest.raises(ValidationError):
            EmbedInput(texts=wrong)
    assert vendors.count("embeddings") == 0
