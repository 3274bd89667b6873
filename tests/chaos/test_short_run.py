"""A short run of ops/chaos with a fixed seed; the long ones are for people."""

import pytest

from tests.chaos.run import Options, run

SHORT = Options(workflows=45, seed=46, minutes=0.75)


@pytest.mark.timeout(240)
def test_a_short_run_loses_doubles_and_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    report = run(SHORT, tmp_path_factory.mktemp("chaos") / "data")
    assert report.is_good, report.as_text()
    assert report.submissions["accepted"] == SHORT.workflows
    deadly = ("worker_killed", "child_killed", "worker_stalled")
    assert sum(report.hits[kind] for kind in deadly), report.as_text()
