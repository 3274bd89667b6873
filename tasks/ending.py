"""The models that this installation uses and that their vendors end soon, or have ended.

Those are the models in the settings, those that live definitions and schedules name, and those that
steps have used in the last days (app/tariffs/in_use.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import structlog

from app.errors import NotConfigured
from app.tariffs import current, in_use
from app.tariffs.book import WARNED_FOR
from tasks import platforms, tariffs

log = structlog.get_logger()


@dataclass(frozen=True)
class Ending:
    """A model that is used, and what takes its place. `days_left` is 0 or less if the model has
    ended; then its steps fail with `model_ended`. `is_set`: the settings of the platform choose it,
    and not a definition, a schedule or the input of a workflow."""

    platform: str
    model: str
    on: date
    days_left: int
    successor: str | None
    is_set: bool = True

    @property
    def to_do(self) -> str:
        """What a person must do."""
        chosen = self.successor or "another model"
        if self.is_set:
            return f"choose {chosen} in the settings of {self.platform}, and restart its workers"
        return f"choose {chosen} in the definitions, schedules and inputs that name {self.model}"


def ending(*, only_set: bool = False) -> list[Ending]:
    """What ends within WARNED_FOR or has ended, the first to end first. `only_set`: of the models
    in the settings only. A model and its snapshots that end together are named once."""
    today, found = current.today(), dict[tuple[str, str], Ending]()
    chosen = [*_chosen()]
    named = [] if only_set else [used for used in in_use.in_use() if used not in chosen]
    for platform, model in (*chosen, *named):
        end = tariffs.book(platform).end(model)
        if end is not None and end.on - today <= WARNED_FOR:
            left, is_set = (end.on - today).days, (platform, model) in chosen
            one = Ending(platform, model, end.on, left, end.successor, is_set)
            found.setdefault((platform, end.model), one)
    return sorted(found.values(), key=lambda each: (each.on, each.platform, each.model))


def _chosen() -> Iterator[tuple[str, str]]:
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
