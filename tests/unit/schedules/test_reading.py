"""Bodies that are refused: each with its place, what is wrong and what to do."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.schedules.spec import Every, InvalidSpec, Spec, read_spec, read_stored
from tests.unit.schedules.specs import at, calls_of, faults_of

REFUSED = [
    ({}, "", "says no times; give exactly one of cron, every and times"),
    ({"cron": "0 9 * * *", "every": "1h"}, "", "has cron and every; give exactly one"),
    ({"cron": "0 9 * * *", "zone": "UTC"}, "/zone", "not known; did you mean 'time_zone'?"),
    ({"cron": 5}, "/cron", "must be a text"),
    ({"cron": ""}, "/cron", "has 0 fields; write five"),
    ({"cron": "0 9 * *"}, "/cron", "has 4 fields; write five: minute, hour, day of month"),
    ({"cron": "0 0 9 * * *"}, "/cron", "has 6 fields; write five"),
    ({"cron": "0 0 9 * * *"}, "/cron", "seconds are not read: use `every`"),
    ({"cron": "@daily"}, "/cron", "write '0 0 * * *'"),
    ({"cron": "@Hourly"}, "/cron", "write '0 * * * *'"),
    ({"cron": "60 9 * * *"}, "/cron", "names the minute '60', which cannot be read; it"),
    ({"cron": "0 24 * * *"}, "/cron", "names the hour '24', which cannot be read"),
    ({"cron": "0 9 0 * *"}, "/cron", "names the day of month '0'"),
    ({"cron": "0 9 * 13 *"}, "/cron", "names the month '13'"),
    ({"cron": "0 9 * * MON-FRI/0"}, "/cron", "names the day of week 'MON-FRI/0'"),
    ({"cron": "0 9 ? * *"}, "/cron", "names the day of month '?'"),
    ({"cron": "0 9 * * FRI-MON"}, "/cron", "names the day of week 'FRI-MON'"),
    ({"cron": f"{'9' * 5000} 9 * * *"}, "/cron", "longer than 200 characters"),
    ({"cron": "0 9 30 2 *"}, "/cron", "never fires: no month has such a day"),
    ({"cron": "0 9 31 2,4,6 *"}, "/cron", "never fires: no month has such a day"),
    ({"cron": "0 9 */30 2 MON#5"}, "/cron", "never fires: no day matches"),
    ({"every": "90"}, "/every", 'must be a duration such as "6h"'),
    ({"every": "0s"}, "/every", "from 1 second to 366 days"),
    ({"every": "1.5s"}, "/every", "must be a whole number of seconds"),
    ({"every": "367d"}, "/every", "from 1 second to 366 days"),
    ({"every": True}, "/every", "must be a duration"),
    ({"every": []}, "/every", "must be a duration"),
    ({"every": float("nan")}, "/every", "must be a whole number"),
    ({"every": {}}, "/every", "give exactly one of seconds, minutes, hours, days"),
    ({"every": {"hours": 1, "minutes": 1}}, "/every", "give exactly one of seconds"),
    ({"every": {"hours": 0}}, "/every/hours", "must be a whole number from 1 to 8784"),
    ({"every": {"hours": 1.5}}, "/every/hours", "must be a whole number"),
    ({"every": {"hour": 1}}, "/every/hour", "did you mean 'hours'?"),
    ({"every": {"minutes": 1, "phase_seconds": 60}}, "/every/phase_seconds", "less than"),
    ({"every": {"minutes": 1, "phase_seconds": -1}}, "/every/phase_seconds", "at least 0"),
    ({"times": []}, "/times", "must be a list of 1 to 1000 instants"),
    ({"times": "2027-01-01T09:00:00Z"}, "/times", "must be a list"),
    ({"times": ["2027-01-01T09:00:00"]}, "/times/0", "must be an instant with its offset"),
    ({"times": [5]}, "/times/0", "must be an instant with its offset"),
    ({"times": ["2027-01-01T09:00:00.5Z"]}, "/times/0", "whole seconds"),
    ({"times": ["2200-01-01T00:00:00Z"]}, "/times/0", "between the years 2000 and 2200"),
    ({"times": ["0001-01-01T00:00:00+23:59"]}, "/times/0", "must be an instant"),
    ({"every": "1h", "starts_at": "today"}, "/starts_at", "must be an instant"),
    ({"every": "1h", "time_zone": 1}, "/time_zone", "must be the name of a time zone"),
    ({"every": "1h", "time_zone": "europe/berlin"}, "/time_zone", "did you mean 'Europe/Berlin'?"),
    ({"every": "1h", "time_zone": "Cairo"}, "/time_zone", "did you mean 'Africa/Cairo'?"),
    ({"every": "1h", "time_zone": "America/New York"}, "/time_zone", "'America/New_York'?"),
    ({"every": "1h", "time_zone": "Europe/Berln"}, "/time_zone", "'Europe/Berlin' or"),
    ({"every": "1h", "time_zone": "../../etc/passwd"}, "/time_zone", "write a name of the tz"),
    ({"every": "1h", "time_zone": "x" * 10_000}, "/time_zone", "there is no time zone"),
    ({"every": "1h", "jitter_seconds": -1}, "/jitter_seconds", "from 0 to 86400"),
    ({"every": "1h", "jitter_seconds": "5s"}, "/jitter_seconds", "must be a whole number"),
    (
        {"every": "1h", "starts_at": "2027-01-02T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"},
        "/ends_at",
        "is before starts_at",
    ),
    (
        {"cron": "0 9 1 1 *", "starts_at": "2027-01-02T00:00:00Z",
         "ends_at": "2027-12-31T00:00:00Z"},
        "/cron",
        "no time lies between starts_at and ends_at",
    ),
    (
        {"times": ["2027-01-01T00:00:00Z"], "starts_at": "2027-01-02T00:00:00Z"},
        "/times",
        "no time lies between starts_at and ends_at",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "place", "words"), REFUSED)
def test_a_wrong_body_is_refused_at_its_place(body: Any, place: str, words: str) -> None:
    ((found, text),) = faults_of(body)
    assert found == place
    assert words in text


def test_all_faults_are_told_at_once() -> None:
    body = {
        "cron": "*/30 2 * * *",
        "time_zone": "Europe/Berlin",
        "jitter_seconds": -1,
        "starts_at": "x",
        "calendar": {"name": "y"},
        "overlap": "skip",
    }
    assert [place for place, _ in faults_of(body)] == [
        *("/overlap", "/starts_at", "/jitter_seconds", "/calendar/name", "/calendar/on_free_day"),
        "/cron",
    ]
    many = [str(number) for number in range(100)]
    assert len(faults_of({"times": many})) == 20
    with pytest.raises(InvalidSpec, match="/times/19: must be an instant"):
        read_spec({"times": many}, {})


@pytest.mark.parametrize("body", [None, [], "0 9 * * *", 5])
def test_what_is_no_object_is_refused(body: Any) -> None:
    assert faults_of(body) == [("", "must be an object with cron, every or times")]


@pytest.mark.parametrize(
    ("body", "spec"),
    [
        ({"cron": " 0  9 * * mon "}, Spec(cron="0 9 * * mon")),
        ({"every": "90m"}, Spec(every=Every(5400))),
        ({"every": 90}, Spec(every=Every(90))),
        ({"every": {"days": 2, "phase_seconds": 5}}, Spec(every=Every(172_800, 5))),
        (
            {"times": ["2027-01-01T09:00:00+01:00"]},
            Spec(times=(at("2027-01-01T08:00Z"),)),
        ),
        (
            {"cron": "0 9 * * *", "time_zone": None, "ends_at": "2027-01-01T00:00:00Z"},
            Spec(cron="0 9 * * *", ends_at=at("2027-01-01T00:00Z")),
        ),
    ],
)
def test_a_body_is_read_to_plain_values_and_back(body: dict[str, Any], spec: Spec) -> None:
    assert read_spec(body, {}) == spec
    assert read_spec(spec.as_body(), {}) == spec


def test_a_stored_body_is_read_although_a_later_tzdata_would_refuse_it() -> None:
    body = {"cron": "*/30 2 * * *", "time_zone": "Europe/Berlin"}
    assert faults_of(body)
    assert read_stored(body, {}) == Spec(cron="*/30 2 * * *", time_zone="Europe/Berlin")
    with pytest.raises(InvalidSpec, match="there is no time zone"):
        read_stored({"every": "1h", "time_zone": "Europe/Atlantis"}, {})


@pytest.mark.parametrize(
    ("expression", "fires"),
    [("0 * */30 2 MON#5", False), ("*/30 2 */30 2 MON#5", False), ("*/30 3 * 2 MON#5", True)],
)
def test_an_expression_that_fires_never_or_rarely_is_read_in_few_steps(
    expression: str, fires: bool
) -> None:
    body = {"cron": expression, "time_zone": "Europe/Berlin"}
    assert calls_of(lambda: faults_of(body)) < 150_000
    assert (faults_of(body) == []) == fires


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_names = st.sampled_from(
    ["cron", "every", "times", "time_zone", "starts_at", "ends_at", "jitter_seconds", "calendar"]
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(_names, _json))
def test_no_body_raises_anything_but_invalid_spec(body: dict[str, Any]) -> None:
    faults = faults_of(body)
    assert {place.split("/")[1] for place, _ in faults if place} <= set(body)
    # A body that is accepted, such as every second, says its times in exactly one way.
    assert faults or len({"cron", "every", "times"} & set(body)) == 1


@settings(max_examples=60, deadline=None)
@given(st.text("0123456789*/,-LW#MONJAN ²\n", max_size=25))
def test_no_expression_raises_anything_but_invalid_spec(expression: str) -> None:
    for cron in (expression, f"{expression} * * * *", f"0 0 {expression} * {expression}"):
        for place, _ in faults_of({"cron": cron, "time_zone": "Europe/Berlin"}):
            assert place == "/cron"
