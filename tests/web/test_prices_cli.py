"""`playalter prices`: operators see and set what platforms cost, and what had no price."""

import json

import pytest

from app.settings import Settings
from app.tariffs import current
from app.tariffs.book import Cost
from tasks import tariffs
from tests import forked


def prices(*arguments: str) -> tuple[int, str]:
    ended = forked.playalter("prices", *arguments)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(autouse=True)
def _anew(settings: Settings) -> None:
    current.forget()


def used(item: str) -> Cost:
    """What a second of this hardware costs in a process that has just started."""
    current.forget()
    return tariffs.book("replicate").cost(item, {"seconds": 1}, current.today())


def test_an_operators_price_is_used_and_taken_back() -> None:
    day = str(current.today())
    code, said = prices("set", "replicate", "gpu-b200", "seconds", "0.0015", "--source", "a letter")
    assert (code, "from " + day in said, "a letter" in said) == (0, True, True)
    assert used("gpu-b200") == Cost(1500)
    assert prices("set", "replicate", "gpu-b200", "seconds", "0")[0] == 0
    assert used("gpu-b200") == Cost(0)
    _, said = prices("--platform", "replicate")
    assert "* gpu-b200 seconds: 0 USD one" in said
    assert "gpu-l40s seconds: 0.000975 USD one" in said
    assert prices("remove", "replicate", "gpu-b200", "seconds", day)[0] == 0
    assert used("gpu-b200").estimated == (("gpu-b200", "seconds"),)
    assert prices("remove", "replicate", "gpu-b200", "seconds", day)[0] == 2


def test_the_price_of_a_long_context_is_removed_by_itself() -> None:
    long = ("--context-over", "272000")
    day = str(current.today())
    of = ("replicate", "gpu-x", "seconds")
    assert prices("set", *of, "1")[0] == prices("set", *of, "2", *long)[0] == 0
    assert "gpu-x seconds, context over 272,000" in prices("remove", *of, day, *long)[1]
    assert prices("remove", *of, day, *long)[0] == 2
    assert used("gpu-x") == Cost(1_000_000)
    prices("set", *of, "2", *long)
    assert prices("remove", *of, day)[0] == 0
    (left,) = current.own_rows()
    assert left.context_over == 272_000
    assert prices("remove", *of, day, *long)[0] == 0


def test_what_has_no_price_anywhere_is_told_as_not_counted() -> None:
    assert tariffs.book("openai").cost("m", {"pictures": 4}, current.today()).micro_usd > 0
    current.tell("openai", Cost(0, (("m", "hours"),), (("m", "hours"),)))
    assert "m has no price for hours; its cost is NOT COUNTED" in prices()[1]


def test_what_had_no_price_is_shown_until_it_has_one() -> None:
    current.tell("replicate", used("gpu-new"))
    assert "gpu-new has no price for seconds" in prices()[1]
    _, said = prices("--json", "--platform", "replicate")
    told = json.loads(said)
    assert [gap["item"] for gap in told["missing"]] == ["gpu-new"]
    assert "gpu-l40s" in {row["item"] for row in told["prices"]}
    prices("set", "replicate", "gpu-new", "seconds", "0.01")
    assert json.loads(prices("--json")[1])["missing"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "openai", "m", "hours", "1"), "there is no unit 'hours'"),
        (("set", "openai", "m", "seconds", "much"), "is no decimal number of USD"),
        (("set", "openai", "m", "seconds", "1", "--from", "soon"), "is no day such as"),
        (("remove", "openai", "m", "seconds", "soon"), "is no day such as"),
        (("--platform", "nobody"), "nobody has no prices"),
    ],
)
def test_what_is_wrong_is_named(arguments: tuple[str, ...], words: str) -> None:
    code, said = prices(*arguments)
    assert (code, words in said, "Traceback" in said) == (2, True, False), said
