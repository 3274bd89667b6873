"""Catch-up, jitter, pause, changes: which times are decided at all, and each of them once."""

import pytest

from app import db
from app.errors import Unavailable
from chains.commands.command import Caller
from chains.commands.schedules.run import run_now
from chains.firing import fire, reading, together
from chains.firing.starts import Starter
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive
from tests.integration.firing.conftest import Fired, Make, fire_all
from tests.unit.definitions import fail, noop

DAY = 86_400
FIELDS = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}


# (times that are due, catch-up window in hours): outcomes
CATCH_UP = {
    (1, 1): ["started"],
    (5, 24): ["started"] * 5,
    (5, 2): ["missed*3", "started", "started"],
    (48, 24): ["missed*24", *["started"] * 24],
    (24 * 365, 1): [f"missed*{24 * 365 - 1}", "started"],
    (150, 30 * 24): ["started"] * 150,
}


def test_times_are_made_up_for_within_the_window(schedule: Make) -> None:
    made = {
        case: schedule("allow_all", case[0], name=f"s{n}", catch_up=case[1] * 3_600 - 1_800)
        for n, case in enumerate(CATCH_UP)
    }
    for _ in range(2):
        fire_all()
        assert {case: one.outcomes for case, one in made.items()} == CATCH_UP
    for case, one in made.items():
        assert one.row["missed"] == case[0] - CATCH_UP[case].count("started")
        assert one.row["seen_to"] <= one.runs[-1]["nominal_at"]


def test_a_start_that_waits_too_long_is_missed(schedule: Make) -> None:
    one = schedule("buffer_one", 2, catch_up=2 * 3_600)
    one.set(pauses_on_failure=False)
    assert one.fire() == ["started", "buffered"]
    assert one.row["fires_at"] <= one.runs[1]["expires_at"]
    outcomes = one.after(5)
    assert outcomes[:2] == ["started", "missed"]


def test_a_second_every_second_for_a_year_keeps_no_other_waiting(schedule: Make) -> None:
    fast = schedule("skip", 24 * 365, name="fast", spec={"every": {"seconds": 1}}, catch_up=600)
    other = schedule("skip", name="other")
    fire.fire_due()
    assert other.outcomes == ["started"]
    fire_all()
    assert fast.outcomes[0].startswith("missed*")
    assert fast.row["started"] == 1
    assert len(fast.runs) < 30


def test_the_last_time_of_a_schedule_ends_it(schedule: Make) -> None:
    one = schedule("skip", 2, spec={"times": ["2026-01-01T00:00:00Z"]})
    one.set(seen_to="2025-12-31T00:00:00Z", catch_up_seconds=400 * DAY * 10)
    assert one.fire() == ["started"]
    row = one.row
    assert (row["next_nominal_at"], row["due_at"], row["fires_at"]) == (None, None, None)


def test_input_may_name_the_time_and_the_schedule(schedule: Make, kernel: Kernel) -> None:
    given = {"at": {"$": "scheduled_at"}, "by": {"$": "join('/', ['x', schedule.name])"}, "n": 1}
    type = kernel.register(noop("only"), input_schema=FIELDS)
    one = schedule("skip", type=type, input=given)
    one.fire()
    nominal = one.runs[0]["nominal_at"]
    assert one.workflows[0]["input"] == {
        "at": nominal.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": "x/hourly",
        "n": 1,
    }


def test_a_refused_start_is_recorded_and_the_schedule_goes_on(
    schedule: Make, kernel: Kernel
) -> None:
    type = kernel.register(noop("only"), input_schema=FIELDS)
    one = schedule("allow_all", 2, type=type)
    assert one.fire() == ["refused", "refused"]
    assert one.runs[0]["reason"] == "invalid_input"
    assert one.row["refused_in_row"] == 2
    one.set(input='{"at": "x"}', spec_version=2)
    assert one.after(1) == ["refused", "refused", "started"]
    assert one.row["refused_in_row"] == 0


def test_ten_refusals_in_a_row_pause_it_with_a_note(schedule: Make) -> None:
    one = schedule("allow_all", 12, type="no_such_type")
    one.fire()
    row = one.row
    assert (row["paused_by"], row["refused"], row["due_at"]) == ("system", 12, None)
    assert "refused" in row["paused_note"]


def test_a_version_that_is_retired_refuses(schedule: Make, kernel: Kernel) -> None:
    type = kernel.register(noop("only"))
    db.row(
        "UPDATE definitions SET active = false, retired_at = clock_timestamp() WHERE name = %s",
        (type,),
    )
    assert schedule("skip", type=type, version=1).fire() == ["refused"]
    assert schedule("skip", name="b", type=type).fire() == ["refused"]


def _fails(schedule: Make, kernel: Kernel, *, pauses: bool) -> Fired:
    type = kernel.register(fail("only"))
    one = schedule("buffer_one", 2, type=type, pauses_on_failure=pauses)
    one.fire()
    drive()
    return one


def test_a_failure_pauses_it_and_drops_what_waits(schedule: Make, kernel: Kernel) -> None:
    one = _fails(schedule, kernel, pauses=True)
    assert one.fire() == ["started", "dropped"]
    row = one.row
    assert row["paused_at"] is not None
    assert str(one.workflows[0]["id"]) in row["paused_note"]
    assert one.after(5) == ["started", "dropped"], "it fires no more"
    events = db.rows("SELECT type, by FROM schedule_events WHERE schedule_id = %s", (one.id,))
    assert events == [{"type": "SchedulePaused", "by": "system"}]


def test_a_failure_pauses_nothing_unless_it_is_set_to(schedule: Make, kernel: Kernel) -> None:
    one = _fails(schedule, kernel, pauses=False)
    assert one.fire() == ["started", "started"]
    assert one.row["paused_at"] is None


def test_a_cancelled_workflow_pauses_nothing(schedule: Make, kernel: Kernel, ada: Caller) -> None:
    one = schedule("skip", pauses_on_failure=True)
    one.fire()
    kernel.cancel(one.workflows[0]["id"])
    one.fire()
    assert kernel.workflow(one.workflows[0]["id"])["completed_at"] is not None
    assert one.row["paused_at"] is None
    assert not one.runs[0]["is_open"]


def _read(one: Fired) -> together.Pass:
    found = reading.one(one.id)
    assert found is not None
    return fire.prepared(found, Starter())


def test_what_was_changed_after_it_was_read_does_not_fire(schedule: Make) -> None:
    one, other = schedule(name="one"), schedule(name="other")
    reads = _read(one), _read(other)
    one.set(spec_version=2)
    other.set(seen_to=other.row["seen_to"].replace(year=2030))
    assert [row["verdict"] for row in together.fire(reads)] == ["changed", "changed"]
    assert one.runs == other.runs == []


def test_what_was_paused_after_it_was_read_does_not_start(schedule: Make) -> None:
    one = schedule()
    read = _read(one)
    db.row("SELECT pause_schedule_v1(%s, 'x', 'note')", (one.id,))
    together.fire_one(read)
    assert one.outcomes == ["dropped"]
    assert one.row["due_at"] is None


def test_two_firers_start_each_time_once(schedule: Make, in_threads: Threads) -> None:
    type = schedule("allow_all", 3, name="first").type
    every = [schedule("allow_all", 3, name=f"s{n}", type=type) for n in range(8)]
    in_threads([fire.fire_due] * 3)
    fire_all()
    for one in every:
        assert one.outcomes == ["started"] * 3
        assert len(one.workflows) == 3


def test_two_that_have_read_the_same_start_it_once(schedule: Make) -> None:
    one = schedule()
    reads = [_read(one), _read(one)]
    verdicts = [together.fire([each])[0]["verdict"] for each in reads]
    assert verdicts == ["fired", "changed"]
    assert one.outcomes == ["started"]


def test_a_time_that_has_a_workflow_already_gets_no_second_one(schedule: Make) -> None:
    one = schedule()
    one.fire()
    drive()
    db.row(
        "UPDATE schedules SET seen_to = seen_to - interval '1 hour', fires_at = playalter_now()",
        (),
    )
    assert one.fire() == ["started", "skipped"]
    assert one.runs[1]["reason"] == "already_started"
    assert len(one.workflows) == 1


def test_what_cannot_be_read_is_put_off_and_delays_no_other(schedule: Make) -> None:
    broken = schedule(name="broken", spec={"every": {"hours": 1}, "time_zone": "Mars/Olympus"})
    one = schedule()
    assert one.fire() == ["started"]
    assert broken.runs == []
    assert broken.row["fires_at"] is not None


def refuse_starts(broken: Fired, code: str) -> None:
    """Let the first statement that starts a workflow of this schedule fail with this SQLSTATE."""
    db.row(
        "CREATE FUNCTION refuse_start() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$",
        (),
    )
    db.row(
        "CREATE TRIGGER refuse_start BEFORE INSERT ON schedule_runs FOR EACH ROW"
        f" WHEN (NEW.schedule_id = '{broken.id}') EXECUTE FUNCTION refuse_start()",
        (),
    )


def test_a_schedule_whose_statement_takes_too_long_delays_no_other(schedule: Make) -> None:
    others = [schedule(name=name) for name in ("a", "c")]
    broken = schedule(name="b")
    refuse_starts(broken, "57014")  # as a statement time-out
    assert [one.fire() for one in others] == [["started"]] * 2
    assert broken.runs == []
    assert broken.row["fires_at"] is not None


def test_a_run_that_a_check_refuses_again_and_again_starts_nothing(
    schedule: Make, ada: Caller
) -> None:
    refuse_starts(schedule(hours=0), "23514")  # as a version that was retired meanwhile
    with pytest.raises(Unavailable, match="nothing was started"):
        run_now(ada, "hourly", request_id="one")


def test_a_clock_that_goes_back_starts_nothing_again(schedule: Make) -> None:
    one = schedule("allow_all", 2)
    one.fire()
    assert one.after(-3) == ["started"] * 2
    assert one.after(3) == ["started"] * 2


def test_large_inputs_are_divided_over_passes(schedule: Make) -> None:
    one = schedule("allow_all", 4, input={"text": "x" * 200_000})
    fire.fire_due()
    assert one.outcomes == ["started"] * 3 + ["buffered"]
    assert one.fire() == ["started"] * 4
