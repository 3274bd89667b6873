"""Zones come from the pinned package tzdata, whatever the machine has."""

import zoneinfo
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import pytest

from chains.schedules import zones
from tests.unit.schedules.specs import at, zone_of


def test_the_version_of_tzdata_is_that_of_the_package() -> None:
    year, number = version("tzdata").split(".")[:2]
    assert zones.tzdata_version() == f"{year}{chr(ord('a') + int(number) - 1)}"
    assert zones.tzdata_year() == int(year)


def test_the_machines_zones_are_not_used(tmp_path: Path) -> None:
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    zones.zone.cache_clear()
    try:
        (tmp_path / "Europe").mkdir()
        (tmp_path / "Europe" / "Berlin").write_bytes(b"not a zone")
        assert zones.offset_at(zones.zone("Europe/Berlin"), at("2026-07-01T00:00Z")) == timedelta(
            hours=2
        )
    finally:
        zoneinfo.reset_tzpath(before)


def test_each_listed_zone_can_be_read() -> None:
    assert len(zones.names()) > 500
    for name in zones.names():
        assert zones.zone(name) is zones.zone(name)


@pytest.mark.parametrize(
    ("name", "year", "found"),
    [
        ("Europe/Berlin", 2026, ["2026-03-29T01:00Z", "2026-10-25T01:00Z"]),
        ("Australia/Lord_Howe", 2026, ["2026-04-04T15:00Z", "2026-10-03T15:30Z"]),
        ("America/Mexico_City", 2022, ["2022-04-03T08:00Z", "2022-10-30T07:00Z"]),
        ("America/Mexico_City", 2023, []),
        ("Asia/Kolkata", 2026, []),
        ("UTC", 2026, []),
    ],
)
def test_changes_are_found_to_the_second(name: str, year: int, found: list[str]) -> None:
    changes = zones.changes(zones.zone(name), year)
    assert [each.at for each in changes] == [at(text) for text in found]
    for each in changes:
        second = timedelta(seconds=1)
        assert zones.offset_at(zones.zone(name), each.at - second) == each.before
        assert zones.offset_at(zones.zone(name), each.at) == each.after


def test_a_change_at_the_first_instant_of_a_year_belongs_to_that_year() -> None:
    # Summer time from 1 January 00:00 (standard time, UTC+0) to 1 July.
    where = zone_of("AAA0BBB,J1/0,J182/0")
    assert [each.at for each in zones.changes(where, 2027)] == [
        *(at("2027-01-01T00:00Z"), at("2027-06-30T23:00Z")),
    ]


def test_segments_follow_each_other_without_a_hole() -> None:
    where = zones.zone("Europe/Berlin")
    start = at("2026-03-29T00:30Z")
    found = []
    for segment in zones.segments(where, start):
        found.append(segment)
        assert zones.offset_at(where, segment.start) == segment.offset
        assert zones.offset_at(where, segment.end - timedelta(seconds=1)) == segment.offset
    assert found[0].start == start
    assert found[1].start == at("2026-03-29T01:00Z")
    assert [each.end for each in found[:-1]] == [each.start for each in found[1:]]
    assert found[-1].end == zones.END
