"""An account at OpenAI without credit holds its steps, is told once, and all go on when it pays."""

import pytest

from tests.e2e.definitions import ended, register, started
from tests.e2e.outages.test_restriction import refusing
from tests.e2e.stack import Json, Stack, until

EACH = 10
_TEXTS: dict[str, Json] = {
    "openai.caption": {"brief": "A circus in the rain"},
    "openai.respond": {"input": "A circus in the rain", "background": True},
    "openai.embed": {"texts": ["A circus in the rain"]},
}
TYPES: tuple[Json, ...] = tuple(
    {"name": f"credit_{number}", "do": {"step": "make", "action": action, "with": given}}
    for number, (action, given) in enumerate(_TEXTS.items())
)


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("billing", ["insufficient_quota", "credit_balance_exhausted"])
def test_steps_of_an_account_without_credit_are_held_told_once_and_go_on(
    stack: Stack, billing: str
) -> None:
    for body in TYPES:
        register(stack, body)
    before = len(stack.journal())
    stack.change(openai__billing=billing)
    ids = [started(stack, body["name"], {}) for body in TYPES for _ in range(EACH)]

    def is_told() -> bool:
        return [each["workflows"] for each in refusing(stack)] == [len(ids)]

    until("the one call for a person", is_told, 60.0, stack.dump)
    (told,) = refusing(stack)
    assert (told["platform"], told["reason"]) == ("openai", "account_exhausted")
    assert stack.api("GET", "/v1/attention").json()["items"] == []
    tried = "SELECT DISTINCT tries FROM steps WHERE workflow_id = ANY (%s::uuid[])"
    assert [row["tries"] for row in stack.rows(tried, ids)] == [0]
    assert len(stack.journal()) == before
    stack.change(openai__billing="paid")
    assert {ended(stack, each, 120.0)["status"] for each in ids} == {"succeeded"}
    assert refusing(stack) == []
    made = [each for each in stack.journal()[before:] if each["vendor"] == "openai"]
    assert len(made) == len(ids), "each is made once"
