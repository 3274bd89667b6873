"""The prices that ship, in `prices.json` of a platform's folder, and the book made of them."""

import json
from functools import lru_cache
from pathlib import Path

import structlog

from app.engine.call import Call
from app.errors import Permanent
from app.tariffs import current, in_use
from app.tariffs.book import Cost, PriceBook
from app.tariffs.rows import Tariff, tariff

log = structlog.get_logger()

_FOLDER = Path(__file__).parent


@lru_cache(maxsize=1)
def platforms() -> tuple[str, ...]:
    """The platforms with prices that ship."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/prices.json")))


@lru_cache(maxsize=32)
def shipped(platform: str) -> Tariff:
    """The tariff that ships for a platform; an empty one if none does."""
    path = _FOLDER / platform / "prices.json"
    return tariff(platform, json.loads(path.read_text())) if path.exists() else Tariff()


def book(platform: str) -> PriceBook:
    """The prices of a platform that count now."""
    return current.book(platform, {name: shipped(name) for name in {platform, *platforms()}})


def spend(
    call: Call,
    platform: str,
    cost: Cost,
    *,
    of: str,
    model: str,
    instead: str | None = None,
    goes_on: bool = False,
) -> None:
    """Add a cost to those of the attempt (see Call.spend), tell what of it is an estimate, and note
    that the model is in use. What was booked before is not estimated anew."""
    if call.spend(cost.micro_usd, of=of, model=model, instead=instead, goes_on=goes_on):
        current.tell(platform, cost)
    in_use.note_use(platform, model)


def assume(
    call: Call, platform: str, micro_usd: int, *, of: str, model: str, instead: str | None = None
) -> None:
    """Add the most that an effect may have cost to the costs of the attempt (see Call.spend),
    because it will not be known what it has cost, and say so in the log. What was booked before
    stays."""
    if call.spend(micro_usd, of=of, model=model, instead=instead):
        log.warning("cost.assumed", platform=platform, model=model, effect=of, micro_usd=micro_usd)
    in_use.note_use(platform, model)


def require_alive(call: Call, platform: str, model: str, *, operation: str, setting: str) -> None:
    """Raise Permanent `model_ended` if the vendor has ended the model by now.

    A step that has made its `operation` already goes on with the answer. `setting` says where
    another model is chosen.
    """
    end = book(platform).has_ended(model, call.now().date())
    if end is None or call.recorded(operation) is not None:
        return
    instead = f"choose {end.successor}" if end.successor else "choose another"
    raise Permanent(
        f"{platform} has ended the model {model} on {end.on}: {instead} ({setting})",
        code="model_ended",
        detail={"model": model, "ended_on": str(end.on), "successor": end.successor},
    )
