"""What the answers of OpenAI's models cost, by the tokens and the tier that they tell."""

from app.platform import Json
from app.tariffs import current
from app.tariffs.book import Cost
from app.tariffs.rows import ANY_TIER
from tasks import tariffs

BATCH = "batch"
"""The level of service of the lines of batches, as prices name it."""


def cost(made: Json) -> Cost:
    """What an answer of a model costs.

    The tokens that were read from a cache or written to one are among `input_tokens`, and each kind
    has a price of its own; the reply says the tier.
    """
    cached, kept = made.get("cached_tokens", 0), made.get("cache_write_tokens", 0)
    used = {
        "input_tokens": max(0, made["input_tokens"] - cached - kept),
        "cached_tokens": cached,
        "cache_write_tokens": kept,
        "output_tokens": made["output_tokens"],
    }
    return tariffs.book("openai").cost(
        made["model"],
        used,
        current.today(),
        tier=made.get("tier") or ANY_TIER,
        context=made["input_tokens"],
    )


def most(model: str, read: int, written: int, tier: str) -> int:
    """The most that an answer of a model costs, in micro-USD.

    All that it reads may be written to a cache, which is dearer for some models, and a level of
    service that has no room may be served as the default, but for a batch. What `auto` means is not
    known: the dearest counts.
    """
    book, on = tariffs.book("openai"), current.today()
    kinds = ("input_tokens", "cached_tokens", "cache_write_tokens")
    return max(
        book.cost(
            model, {kind: read, "output_tokens": written}, on, tier=served, context=read
        ).micro_usd
        for kind in kinds
        for served in {tier, _SERVED_AS.get(tier, tier), tier if tier == BATCH else "default"}
    )


_SERVED_AS = {"fast": "priority"}
"""What the answer calls a level of service, if it is not what the request calls it."""
