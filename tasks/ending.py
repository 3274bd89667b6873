"""The models that this installation uses and that their vendors end soon, or have ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import structlog

from app.errors import NotConfigured
from app.tariffs import current
from app.tariffs.book import WARNED_FOR
from tasks import platforms, tariffs

log = structlog.get_logger()


@dataclass(frozen=True)
class Ending:
    """A model that the settings of a platform choose, and what takes its place. `days_left` is 0 or
    less if the model has ended; then its steps fail with `model_ended`."""

    platform: str
    model: str
    on: date
    days_left: int
    successor: str | None

    @property
    def to_do(self) -> str:
        """What a person must do."""
        chosen = self.successor or "another model"
        return f"choose {chosen} in the settings of {self.platform}, and restart its workers"


def ending() -> list[Ending]:
    """What ends within WARNED_FOR or has ended, the first to end first."""
    today, found = current.today(), []
    for platform, model in _used():
        end = tariffs.book(platform).end(model)
        if end is not None and end.on - today <= WARNED_FOR:
            left = (end.on - today).days
            found.append(Ending(platform, model, end.on, left, end.successor))
    return sorted(found, key=lambda each: (each.on, each.platform, each.model))


def _used() -> Iterator[tuple[str, str]]:
    for platform in platforms():
        if platform.settings is None:
            continue
        try:
            models = platform.settings.current().models()
        except NotConfigured:
            continue
        for model in dict.fromkeys(models):
            yield platform.name, model


def days_left() -> dict[str, float]:
    """The days until the end of each of these models, by `platform/model`."""
    return {f"{each.platform}/{each.model}": each.days_left for each in ending()}


def warn() -> int:
    """Say of each of these models, once a day, that it ends. Returns how many were told of."""
    told = [each for each in ending() if current.is_first_today(each.platform, each.model)]
    for each in told:
        log.warning(
            "model.has_ended" if each.days_left <= 0 else "model.ends",
            platform=each.platform,
            model=each.model,
            on=str(each.on),
            days_left=each.days_left,
            successor=each.successor,
        )
    return len(told)
