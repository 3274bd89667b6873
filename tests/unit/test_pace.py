"""A worker fetches no message ahead while its messages take long, by its pace over some seconds."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from kombu.common import QoS

from app.broker.consumer import Ahead
from app.broker.pace import Pace

SLOTS = 8


class Slots:
    """The work of a worker's slots, as it looks at them each second."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.seconds = 0.0
        self.ended = 0

    def look(self, ended: int, *, active: int = SLOTS, seconds: float | None = None) -> bool:
        """One more second, in which `ended` messages have ended and `active` slots were used."""
        self.seconds += active if seconds is None else seconds
        self.ended += ended
        return self.pace.look(self.seconds, self.ended, active)

    def looks(self, *ended: int) -> list[bool]:
        """Seconds in which all slots are used and so many messages have ended."""
        return [self.look(each) for each in ended]


@pytest.mark.parametrize(
    ("seconds_each", "is_slow"), [(0.01, False), (0.1, False), (0.3, False), (1, True), (2, True)]
)
def test_messages_are_slow_from_about_half_a_second_on(seconds_each: float, is_slow: bool) -> None:
    assert Slots().looks(*[round(SLOTS / seconds_each)] * 6)[-1] is is_slow


def test_messages_that_have_not_ended_yet_are_slow_when_they_have_run_for_long() -> None:
    slots = Slots()
    assert not slots.look(0, seconds=SLOTS * 0.3)
    assert slots.looks(0, 0, 0) == [True, True, True]


def test_a_worker_that_has_just_begun_many_messages_is_not_slow() -> None:
    assert not Slots().look(0, seconds=SLOTS * 0.4)


def test_one_long_message_among_many_short_ones_does_not_make_a_worker_slow() -> None:
    assert Slots().looks(*[700] * 10) == [False] * 10


def test_an_idle_worker_keeps_its_pace() -> None:
    slots = Slots()
    assert slots.looks(8, 8, 8)[-1]
    assert slots.look(8, active=0, seconds=4.0)
    assert [slots.look(0, active=0) for _ in range(60)] == [True] * 60
    assert not Slots().look(0, active=0)


def test_a_worker_is_fast_again_within_three_seconds() -> None:
    slots = Slots()
    slots.looks(8, 8, 8)
    assert slots.looks(400, 400, 400)[-1] is False


def test_a_mixture_does_not_change_the_pace_each_second() -> None:
    slots = Slots()
    found = slots.looks(*[12, 40] * 30)
    changes = sum(one is not other for one, other in pairwise(found))
    assert changes <= 1


def consumer(
    prefetch: int, multiplier: int = 2, *, is_restored: bool = True
) -> tuple[SimpleNamespace, list[int]]:
    """What `Ahead` needs of a consumer, and the numbers that its channel has been told."""
    told: list[int] = []
    qos = QoS(lambda prefetch_count: told.append(prefetch_count), prefetch)
    qos.update()
    made = SimpleNamespace(
        qos=qos,
        initial_prefetch_count=prefetch,
        prefetch_multiplier=multiplier,
        pool=SimpleNamespace(num_processes=SLOTS),
        _maximum_prefetch_restored=is_restored,
    )
    return made, told


def of_pace(is_slow: bool) -> Pace:
    """A pace that an idle worker keeps."""
    pace = Pace()
    pace.is_slow = is_slow
    return pace


def test_a_slow_worker_holds_one_message_a_slot_and_a_fast_one_two() -> None:
    pace = of_pace(True)
    made, told = consumer(2 * SLOTS)
    ahead = Ahead(pace)
    for pace.is_slow in (True, True, False, False):
        ahead.look(made)
        made.qos.update()
    assert told == [2 * SLOTS, SLOTS, 2 * SLOTS]


def test_messages_that_celery_holds_for_later_are_held_on_top() -> None:
    made, _ = consumer(2 * SLOTS)
    made.qos.increment_eventually(5)
    Ahead(of_pace(True)).look(made)
    assert made.qos.value == SLOTS + 5


def test_celerys_own_return_to_the_full_number_after_a_loss_is_left_alone() -> None:
    made, _ = consumer(SLOTS + 2, is_restored=False)
    ahead = Ahead(of_pace(True))
    ahead.look(made)
    assert made.qos.value == SLOTS + 2
    made.qos.increment_eventually(SLOTS - 2)
    made._maximum_prefetch_restored = True
    ahead.look(made)
    assert made.qos.value == SLOTS


@pytest.mark.parametrize(("multiplier", "prefetch"), [(1, SLOTS), (0, 0), (4, 4 * SLOTS)])
def test_another_multiplier_is_kept(multiplier: int, prefetch: int) -> None:
    made, _ = consumer(prefetch, multiplier)
    Ahead(of_pace(False)).look(made)
    assert made.qos.value == prefetch
    Ahead(of_pace(True)).look(made)
    assert made.qos.value == min(prefetch, SLOTS)
