"""Prices: which row counts, what is estimated, and which models end."""

from datetime import date
from decimal import Decimal

import pytest

from app.tariffs.book import Cost, PriceBook
from app.tariffs.rows import End, InvalidPrice, Price, Tariff, price, tariff
from tasks import tariffs

DAY = date(2026, 11, 30)


def row(usd: str, unit: str = "seconds", **more: object) -> Price:
    item, starts_on = str(more.pop("item", "gpu")), str(more.pop("on", "2026-01-01"))
    return price("vendor", item, unit, usd, starts_on, **more)  # type: ignore[arg-type]


def micro(book: PriceBook, item: str = "gpu", on: date = DAY, **more: object) -> int:
    return book.cost(item, {"seconds": 2}, on, **more).micro_usd  # type: ignore[arg-type]


def test_a_price_counts_from_its_day() -> None:
    book = PriceBook(Tariff((row("1"), row("3", on="2026-11-30"), row("9", on="2026-12-01"))))
    assert micro(book, on=date(2026, 11, 29)) == 2_000_000
    assert micro(book) == 6_000_000
    assert micro(book, on=date(2027, 1, 1)) == 18_000_000


def test_a_price_of_the_operators_counts_before_one_that_ships() -> None:
    book = PriceBook(Tariff((row("1"),)), [row("0.5")])
    assert micro(book) == 1_000_000
    later = PriceBook(Tariff((row("1", on="2026-11-01"),)), [row("0.5", on="2026-10-01")])
    assert micro(later) == 2_000_000  # the vendor has changed its price since


def test_nothing_and_zero_differ() -> None:
    book = PriceBook(Tariff((row("0"), row("7", item="other"))))
    free = book.cost("gpu", {"seconds": 5}, DAY)
    assert (free.micro_usd, free.estimated) == (0, ())
    unknown = book.cost("new", {"seconds": 5, "pictures": 0}, DAY)
    assert (unknown.micro_usd, unknown.estimated) == (35_000_000, (("new", "seconds"),))


def test_a_tier_has_its_own_price_or_a_factor() -> None:
    rows = (row("2"), row("3", tier="fast"))
    book = PriceBook(Tariff(rows, {"default": Decimal(1), "flex": Decimal("0.5")}))
    assert micro(book, tier="default") == 4_000_000
    assert micro(book, tier="flex") == 2_000_000
    assert PriceBook(Tariff(rows, {"fast": Decimal(9)})).cost(
        "gpu", {"seconds": 1}, DAY, tier="fast"
    ).micro_usd == 3_000_000  # fmt: skip


def test_a_long_context_has_its_own_price() -> None:
    book = PriceBook(Tariff((row("2"), row("4", context_over=272_000))))
    assert micro(book, context=272_000) == 4_000_000
    assert micro(book, context=272_001) == 8_000_000


def test_a_price_of_a_tier_hides_no_price_of_a_longer_context() -> None:
    rows = (row("2"), row("4", context_over=272_000), row("3", tier="priority"))

    def found(book: PriceBook, tier: str = "priority", context: int = 300_000) -> Cost:
        return book.cost("gpu", {"seconds": 1}, DAY, tier=tier, context=context)

    estimate = (("gpu", "seconds"),)
    assert found(PriceBook(Tariff(rows))) == Cost(4_000_000, estimate)
    tiers = {"priority": Decimal(2), "flex": Decimal("0.5")}
    assert found(PriceBook(Tariff(rows, tiers))) == Cost(8_000_000, estimate)
    assert found(PriceBook(Tariff(rows, tiers)), context=272_000) == Cost(3_000_000)
    cheap = PriceBook(Tariff((*rows, row("1", tier="flex")), tiers))
    assert found(cheap, tier="flex") == Cost(4_000_000, estimate)
    own = PriceBook(Tariff((*rows, row("5", tier="priority", context_over=272_000)), tiers))
    assert found(own) == Cost(5_000_000)


def test_a_price_of_a_snapshot_hides_no_price_of_a_longer_context() -> None:
    of_model = (row("2", item="m"), row("4", item="m", context_over=272_000))
    book = PriceBook(Tariff((*of_model, row("1", item="m-2026-05-01"))))
    assert micro(book, "m-2026-05-01", context=300_000) == 8_000_000
    assert micro(book, "m-2026-05-01") == 2_000_000


def test_a_tier_that_has_its_own_prices_needs_no_factor() -> None:
    book = PriceBook(Tariff((row("2"), row("3", tier="new")), {"fast": Decimal(9)}))
    known = book.cost("gpu", {"seconds": 1}, DAY, tier="new")
    assert (known.micro_usd, known.estimated) == (3_000_000, ())


def test_an_unknown_tier_costs_the_dearest_that_any_tier_costs() -> None:
    book = PriceBook(Tariff((row("2"), row("9", tier="own")), {"fast": Decimal(3)}))
    found = book.cost("gpu", {"seconds": 1}, DAY, tier="new")
    assert (found.micro_usd, found.estimated) == (9_000_000, (("new", "tier"),))


def test_a_unit_without_a_price_here_costs_the_dearest_of_all_platforms() -> None:
    book = PriceBook(Tariff((row("1"),)), elsewhere=[row("2", "pictures"), row("7", "pictures")])
    found = book.cost("new", {"pictures": 4}, DAY)
    assert (found.micro_usd, found.estimated) == (28_000_000, (("new", "pictures"),))
    assert found.unknown == ()


def test_a_unit_without_a_price_anywhere_is_unknown_and_not_free() -> None:
    found = PriceBook(Tariff((row("1"),))).cost("gpu", {"pictures": 4, "seconds": 1}, DAY)
    assert (found.micro_usd, found.unknown) == (1_000_000, (("gpu", "pictures"),))
    assert found.estimated == found.unknown


def test_a_price_of_a_longer_context_is_no_estimate_for_a_short_one() -> None:
    book = PriceBook(Tariff((row("2"), row("4", context_over=272_000))))
    assert micro(book, "new") == 4_000_000
    assert micro(book, "new", context=300_000) == 8_000_000


def test_a_snapshot_costs_what_its_model_costs() -> None:
    book = PriceBook(Tariff((row("2", item="m"), row("3", item="m-2026-05-01"))))
    assert micro(book, "m-2026-06-01") == 4_000_000
    assert micro(book, "m-2026-05-01") == 6_000_000


@pytest.mark.parametrize(
    ("item", "unit", "usd", "day", "words"),
    [
        ("m", "hours", "1", "2026-01-01", "no unit 'hours'"),
        ("m", "seconds", "a", "2026-01-01", "no decimal number"),
        ("m", "seconds", "NaN", "2026-01-01", "is no price"),
        ("m", "seconds", "-1", "2026-01-01", "0 or more"),
        ("m", "seconds", "1", "soon", "no day"),
        ("", "seconds", "1", "2026-01-01", "needs the name"),
    ],
)
def test_a_wrong_price_is_refused(item: str, unit: str, usd: str, day: str, words: str) -> None:
    with pytest.raises(InvalidPrice, match=words):
        price("vendor", item, unit, usd, day)


def test_a_context_below_zero_is_refused() -> None:
    with pytest.raises(InvalidPrice, match="no negative number"):
        price("vendor", "m", "seconds", "1", "2026-01-01", context_over=-1)


@pytest.mark.parametrize("factor", ["-1", "NaN", "much"])
def test_a_factor_of_a_tier_that_is_no_factor_is_refused(factor: str) -> None:
    with pytest.raises(InvalidPrice, match="no factor of the tier flex"):
        tariff("vendor", {"tiers": {"flex": factor}})


def test_a_negative_count_makes_no_cost_smaller_and_is_named_as_unknown() -> None:
    book = PriceBook(Tariff((row("1"), row("3", item="other"), row("2", unit="pictures"))))
    found = book.cost("gpu", {"pictures": 2, "seconds": -5}, DAY)
    assert (found.micro_usd, found.estimated) == (19_000_000, (("gpu", "seconds"),))


def test_a_model_that_ends_is_warned_of_for_sixty_days() -> None:
    ends = {"ends": [{"model": "m", "on": "2027-01-29", "successor": "n"}]}
    book = PriceBook(tariff("vendor", ends))
    assert book.warning("m", date(2026, 11, 29)) is None
    assert book.warning("m-2026-01-01", DAY) == "the model m-2026-01-01 ends on 2027-01-29; use n"
    assert book.has_ended("m", date(2027, 1, 28)) is None
    assert "has ended" in str(book.warning("m", date(2027, 1, 29)))


def test_a_shipped_long_context_costs_more() -> None:
    book = PriceBook(tariffs.shipped("openai"))
    used = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    assert book.cost("gpt-6-sol", used, DAY, context=272_000) == Cost(12_000_000)
    assert book.cost("gpt-6-sol", used, DAY, context=272_001) == Cost(19_000_000)
    every = {each.item for each in book.prices if each.context_over}
    assert every >= {"gpt-6-luna", "gpt-6-sol", "gpt-6-astra", "gpt-5.6-terra", "gpt-5.5"}
    others = {each.item for each in book.prices if each.unit in ("image_tokens", "audio_tokens")}
    writers = {each.item for each in book.prices if each.unit == "output_tokens"} - others
    units = {
        (p.item, p.unit, p.context_over) for p in book.prices if not p.tier and p.item in writers
    }
    assert len(units) == 4 * len({(item, over) for item, _, over in units})


def test_all_hardware_has_a_shipped_price_and_pictures_have_an_estimate() -> None:
    on = tariffs.shipped("replicate").prices
    assert PriceBook(Tariff(on)).cost("gpu-h100", {"seconds": 2}, DAY) == Cost(3_050)
    assert {each.item for each in on} >= {"cpu", "gpu-t4", "gpu-l40s-2x", "gpu-a100-large-8x"}
    book = PriceBook(tariffs.shipped("openai"), elsewhere=on)
    estimate = (("gpt-image-2", "pictures"),)
    assert book.cost("gpt-image-2", {"pictures": 4}, DAY) == Cost(360_000, estimate)


def test_a_recorded_end_counts_before_one_that_ships() -> None:
    shipped = tariff("vendor", {"ends": [{"model": "m", "on": "2027-01-29"}]})
    book = PriceBook(shipped, ends=[End("m", date(2027, 3, 1)), End("o/n", DAY), End("o/p:1", DAY)])
    assert book.has_ended("m", date(2027, 2, 1)) is None
    assert book.has_ended("o/n:abc", DAY)
    assert book.has_ended("o/p:1", DAY)
    assert book.has_ended("o/p:2", DAY) is book.has_ended("o/p", DAY) is None


@pytest.mark.parametrize("platform", tariffs.platforms())
def test_what_ships_is_well_formed(platform: str) -> None:
    shipped = tariffs.shipped(platform)
    assert shipped.prices
    assert all(each.usd > 0 and each.source for each in shipped.prices)
    keys = [(p.item, p.unit, p.tier, p.context_over, p.starts_on) for p in shipped.prices]
    assert len(keys) == len(set(keys))
    ended = {end.model for end in shipped.ends}
    assert not {end.successor for end in shipped.ends} & ended
