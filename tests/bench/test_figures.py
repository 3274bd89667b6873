"""Runs into figures, ratios and sizes: what the report says follows from the runs alone."""

from dataclasses import replace

import pytest

from chains.language.definition import Definition
from chains.plans.compiler import first_rows
from chains.plans.layout import compile_plan
from tests.bench.comparing.actions import wait_for_answer
from tests.bench.comparing.compare import Comparison, Counted, Round, Rounds, repeated, sized
from tests.bench.comparing.loads import (
    ALONE,
    LOADS,
    QUICK,
    W1,
    W1I,
    W2,
    W3,
    W3_SLOW,
    W4,
    Load,
    Unit,
)
from tests.bench.comparing.measure import Run, percentile
from tests.bench.comparing.report import NAMES, as_data, as_markdown, as_text, is_whole
from tests.bench.comparing.sides import Recorded
from tests.bench.costs import burst
from tests.bench.machine.used import Reading

RUN = Run(
    workflows=100,
    steps=300,
    seconds=2.0,
    cpu={"workers": 0.3, "postgres": 0.12, "valkey": 0.03},
    cpu_producer=0.1,
    others_cores=0.02,
    commits=500,
    wal_bytes=300_000,
    messages=100,
    worker_bytes=64 * 1024 * 1024,
)
WHOLE = Counted(expected=Recorded(100, 300, 300), found=Recorded(100, 300, 300))


def of(seconds: float) -> Run:
    """The run, had it taken so long."""
    return replace(RUN, seconds=seconds, each_seconds=(seconds / 100,) * 100)


def compared(ours: tuple[float, ...], theirs: tuple[float, ...]) -> Comparison:
    """W1 with runs of so many seconds."""
    rounds = ({"durable": of(a), "raw": of(b)} for a, b in zip(ours, theirs, strict=True))
    return Comparison(W1, Rounds(tuple(rounds)), {"durable": WHOLE})


def of_four(*seconds: float, load: Load = W1) -> Comparison:
    """A round with all sides, each of which took so long."""
    runs = {name: of(each) for name, each in zip(NAMES, seconds, strict=True)}
    counted = dict.fromkeys(("durable", "http", "restate"), WHOLE)
    return Comparison(load, Rounds((runs,)), counted)


@pytest.mark.parametrize(
    ("unit", "figure"),
    [
        (Unit.STEPS, 150.0),
        (Unit.WORKFLOWS, 50.0),
        (Unit.SECONDS, 0.02),
        (Unit.MILLISECONDS, 20.0),
    ],
)
def test_a_run_says_its_figure_in_each_unit(unit: Unit, figure: float) -> None:
    assert of(2.0).figure(unit) == pytest.approx(figure)


def test_cpu_is_of_all_groups_but_the_producer() -> None:
    assert RUN.cpu_ms_per_step == pytest.approx(1.5)


def test_the_ratio_is_the_median_of_the_pairs_and_not_the_pair_of_medians() -> None:
    made = compared((1.0, 2.0, 4.0), (3.0, 2.0, 4.0))
    assert made.ratios("durable", "raw") == pytest.approx([3.0, 1.0, 1.0])
    assert made.ratio("durable", "raw") == pytest.approx(1.0)


@pytest.mark.parametrize("load", [W3, ALONE])
def test_twice_as_fast_is_two_also_where_less_is_better(load: Load) -> None:
    made = replace(compared((1.0,), (2.0,)), load=load)
    assert made.ratio("durable", "raw") == pytest.approx(2.0)


@pytest.mark.parametrize(("percent", "value"), [(50, 50.0), (95, 95.0), (99, 99.0), (100, 100.0)])
def test_a_percentile_is_a_value_that_occurred(percent: float, value: float) -> None:
    assert percentile(tuple(float(n) for n in range(100, 0, -1)), percent) == value


def test_a_run_is_cut_to_what_fits_at_the_rate_of_the_warm_up() -> None:
    slow, quick = replace(RUN, seconds=10.0), replace(RUN, seconds=0.1)
    assert sized(W4, slow, 10.0).workflows == 100
    assert sized(W4, quick, 10.0).workflows == W4.workflows
    assert sized(W4, replace(RUN, workflows=1, seconds=99.0), 10.0).workflows == 1


def test_what_is_a_time_or_asked_for_exactly_is_never_cut() -> None:
    slow = replace(RUN, workflows=1, seconds=60.0)
    assert sized(W3, slow, 10.0) == W3
    assert sized(W4, slow, None) == W4


@pytest.mark.parametrize("load", [W1, W1I, W2, W4])
def test_a_load_counts_the_rows_that_its_definition_has(load: Load) -> None:
    plan = compile_plan(Definition.from_body(load.body))
    assert len(first_rows(plan)) == load.rows


def test_every_load_has_a_small_size() -> None:
    assert set(QUICK) == set(LOADS)
    assert all(QUICK[load.name] <= load.workflows for load in LOADS.values())


def test_commits_made_slow_are_told_in_the_title_once() -> None:
    assert W3_SLOW.slowed(5000).title == f"{W3.title}, commits +5 ms"
    assert [load.commit_delay_microseconds for load in LOADS.values()].count(2000) == 1


def test_the_data_hold_every_run_beside_the_medians() -> None:
    data = as_data([compared((1.0, 2.0, 4.0), (2.0, 2.0, 2.0))], {"cores": 2})
    (load,) = data["loads"]
    ours = load["sides"]["durable"]
    assert ours["figure"] == pytest.approx(150.0)
    assert [run["seconds"] for run in ours["runs"]] == [1.0, 2.0, 4.0]
    assert ours["cpu_ms_per_step_by_group"]["postgres"] == pytest.approx(0.4)
    assert ours["cpu_ms_per_step_by_group"]["servers"] == 0.0
    assert ours["commits_per_workflow"] == pytest.approx(5.0)
    assert ours["ms"] is None
    assert data["setting"] == {"cores": 2}


def test_only_one_alone_has_percentiles() -> None:
    made = replace(compared((2.0,), (3.0,)), load=ALONE)
    (load,) = as_data([made], {})["loads"]
    assert load["sides"]["durable"]["ms"] == pytest.approx({"p50": 20.0, "p95": 20.0, "p99": 20.0})


@pytest.mark.parametrize("side", ["durable", "http", "restate"])
@pytest.mark.parametrize(
    "found", [Recorded(99, 300, 300), Recorded(100, 299, 300), Recorded(100, 300, 299)]
)
def test_a_workflow_a_step_or_an_event_that_is_not_recorded_is_told(
    side: str, found: Recorded
) -> None:
    made = of_four(1.0, 1.0, 2.0, 1.0)
    whole = as_data([made], {})
    counted = {**made.counted, side: replace(WHOLE, found=found)}
    broken = as_data([replace(made, counted=counted)], {})
    assert is_whole(whole)
    assert "NOT ALL IS RECORDED" not in as_text(whole)
    assert not is_whole(broken)
    assert as_text(broken).count("NOT ALL IS RECORDED") == 1


def test_the_text_is_a_table_whose_columns_stand_under_one_another() -> None:
    head, ours, theirs, *_ = as_text(as_data([compared((1.0,), (2.0,))], {})).splitlines()
    assert ours.split()[:5] == ["w1", "durable", "300", "steps/s", "2.00"]
    assert theirs.split()[:4] == ["w1", "raw", "150", "steps/s"]
    assert ours.index("2.00") + len("2.00") == head.index("ratio") + len("ratio")
    assert len(ours) == len(theirs)


def test_the_table_of_the_readme_has_a_line_for_each_load() -> None:
    data = as_data([compared((1.0,), (2.0,))], {})
    *_, line = as_markdown(data).splitlines()
    assert line == f"| {W1.title} | 300 steps/s | 150 steps/s | 2.00 | 1.50 | 1.50 |"
    assert len({row.count("|") for row in as_markdown(data).splitlines()}) == 1


def test_the_table_with_a_peer_has_all_sides_and_says_what_they_were() -> None:
    made = of_four(1.0, 2.0, 4.0, 0.5)
    data = as_data([made], {"submission": "timed", "Restate": "1.7.12 (fsync on)"})
    head, _, line, _, said = as_markdown(data).splitlines()
    assert "| Playalter | over HTTP | raw Celery | Restate | times raw Celery |" in head
    figures = "300 steps/s | 150 steps/s | 75.0 steps/s | 600 steps/s"
    cpu = " · ".join(["1.50"] * 4)
    assert line == f"| {W1.title} | {figures} | 4.00 · 2.00 | 0.50 · 0.25 | {cpu} |"
    assert said == "submission timed, Restate 1.7.12 (fsync on)."


def test_ratios_are_to_raw_celery_for_all_and_to_a_peer_for_ours() -> None:
    (load,) = as_data([of_four(1.0, 2.0, 4.0, 0.5)], {})["loads"]
    ratios = {
        peer: {side: found["ratio"] for side, found in each.items()}
        for peer, each in load["ratios"].items()
    }
    assert ratios == {
        "raw": {"durable": 4.0, "http": 2.0, "restate": 8.0},
        "restate": {"durable": 0.5, "http": 0.25},
    }


def rounds_of(*others: float, runs: int) -> tuple[Rounds, int]:
    """What is kept of rounds in which others had so many cores, and how many were made."""
    waiting = [{"durable": replace(of(1.0), others_cores=each), "raw": of(1.0)} for each in others]
    made: list[Round] = []

    def next_round() -> Round:
        made.append(waiting[len(made)])
        return made[-1]

    return repeated(next_round, W1, runs, 0.1, lambda line: None), len(made)


def test_a_round_that_others_disturb_is_thrown_away_and_made_again() -> None:
    found, made = rounds_of(0.05, 0.4, 0.0, runs=2)
    assert (len(found.counting), len(found.thrown), made) == (2, 1, 3)
    assert found.others_cores == pytest.approx(0.05)
    assert not found.is_disturbed


def test_rounds_on_a_busy_machine_end_and_say_what_they_are_worth() -> None:
    found, made = rounds_of(0.4, 0.5, 0.6, 0.7, runs=2)
    assert made == 4
    assert found.is_disturbed
    text = as_text(as_data([Comparison(W1, found)], {}))
    assert "NO QUIET ROUND: others had up to 0.70 cores in these 4 rounds" in text
    quiet = as_text(as_data([compared((1.0,), (1.0,))], {}))
    assert "others had at most 0.02 cores; rounds: 1 counting, 0 thrown away" in quiet


def test_what_others_had_is_what_is_left_of_the_machines_work() -> None:
    before = Reading(10.0, {"workers": 1.0, "postgres": 2.0}, 0.5, 0.1, 100.0)
    after = Reading(14.0, {"workers": 3.0, "postgres": 3.0}, 1.0, 0.2, 104.0)
    spent = after.since(before)
    assert spent.groups == {"workers": 2.0, "postgres": 1.0}
    assert spent.others_cores == pytest.approx((4.0 - 3.6) / 4.0)


def test_the_calls_of_w4_are_slow_as_every_ai_call_is() -> None:
    assert wait_for_answer.slow
    assert wait_for_answer.name == "calls.wait"
    assert {step["action"] for step in W4.body["do"]["sequence"]} == {"calls.wait"}


def test_a_burst_is_told_by_tenths_of_its_ends() -> None:
    # The first tenth takes two seconds, the last one half a second more than those before it.
    times = [0.0, 2.0, *(2.0 + n for n in range(1, 9)), 11.5]
    moments = [
        burst.Moment(at, 30 * n, (0.3 * n, 0.1 * n, 0.0, 0.01 * at), 1000 + 10 * n)
        for n, at in enumerate(times)
    ]
    found = burst.figures(moments)
    rates = [round(part["steps_per_second"]) for part in found["parts"]]
    assert rates == [45, *[90] * 8, 60]
    assert found["parts"][1]["cpu_ms_per_step"] == pytest.approx(1000 * 0.41 / 90)
    assert found["parts"][1]["worker_share"] == pytest.approx(0.3)
    assert found["rates_apart"] == pytest.approx(1 / 3)
    assert found["reconciler_share"] == pytest.approx(0.01)
