"""The job: what is due, in which order, and what a death at any step leaves."""

import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest

from app import db
from app.archive import manifests
from app.archive.bundle import key_of
from app.archive.connecting import connected
from app.archive.holding import hold
from app.errors import NotFound
from app.record.verification import verify
from app.settings import current
from chains.retention import finding, job
from chains.retention.policy import policy
from tests.integration.archive.conftest import make_family, rows_of, seen
from tests.integration.conftest import Kernel, Threads


class Death(BaseException):
    """A process dies here."""


def dies_at(step: str, times: int = 1) -> Callable[[str], None]:
    """A `Step` that dies after the n-th step of this name."""
    left = [times]

    def die(done: str) -> None:
        left[0] -= done == step
        if left[0] == 0:
            raise Death

    return die


def run(**rest: object) -> dict[str, object]:
    """A run. PostgreSQL sees some moments later that the connection of a dead one has ended."""
    until = time.monotonic() + 20
    while True:
        done = job.run(share=1.0, **rest)  # type: ignore[arg-type] # a test names what it needs
        if not done["is_busy"]:
            return done
        assert time.monotonic() < until, "another run is at work"
        time.sleep(0.01)


def files() -> set[str]:
    folder = current().storage_dir
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def pass_days(days: int) -> None:
    db.row(
        "INSERT INTO clock_offset (amount) VALUES (make_interval(days => %s)) ON CONFLICT (is_only)"
        " DO UPDATE SET amount = clock_offset.amount + excluded.amount",
        (days,),
    )


def test_what_ended_long_enough_ago_is_archived_and_later_erased(kernel: Kernel) -> None:
    root, child = make_family(kernel)
    assert run()["archived"] == 0
    pass_days(89)
    assert run()["archived"] == 0
    pass_days(2)
    done = run()
    assert (done["archived"], done["workflows"], done["manifests"]) == (1, 2, 1)
    assert rows_of(root, child) == {}
    pass_days(399)
    assert run()["erased"] == 0
    pass_days(2)
    done = run()
    assert (done["erased"], done["removed"], done["manifests"]) == (2, 1, 1)
    assert files() == {"archive/manifests/000000000001.json", "archive/manifests/000000000002.json"}
    assert list(verify()) == []


STEPS = [
    *("read", "noted", "written", "verified", "archived"),
    *("manifest_made", "manifest_written", "looked"),
]


def test_a_death_at_any_step_loses_nothing_and_leaves_nothing(kernel: Kernel) -> None:
    roots = [make_family(kernel)[0] for _ in range(2)]
    before = {root: seen(root, kernel.user_id) for root in roots}
    pass_days(91)
    for step in STEPS:
        with pytest.raises(Death):
            run(step=dies_at(step))
        assert {root: seen(root, kernel.user_id) for root in roots} == before
    # The files of the dead runs are those of the last one, or are given up and swept.
    run(given_up_seconds=0.0)
    run(given_up_seconds=0.0)
    named = {key_of(row["id"]) for row in db.rows("SELECT id FROM archive_volumes", ())}
    named |= {row["key"] for row in db.rows("SELECT key FROM archive_manifests", ())}
    assert files() == named
    assert {row["state"] for row in db.rows("SELECT state FROM archive_bundles", ())} == {
        "archived"
    }
    assert list(verify()) == []


def test_a_file_that_no_run_finishes_is_swept(kernel: Kernel) -> None:
    root, _ = make_family(kernel)
    pass_days(91)
    with pytest.raises(Death):
        run(step=dies_at("written"))
    kernel_fork(kernel, root)
    assert len(files()) == 1
    for step in ("given_up", "removed_file"):
        with pytest.raises(Death):
            run(step=dies_at(step), given_up_seconds=0.0)
    assert run(given_up_seconds=0.0)["swept"] == 1
    assert files() == set()
    assert db.rows("SELECT id FROM archive_volumes", ()) == []


def kernel_fork(kernel: Kernel, root: UUID) -> UUID:
    """A fork of the root that has not ended."""
    from chains.commands.command import caller_of
    from chains.commands.fork import fork

    return fork(caller_of(kernel.user_id), root, from_step="each").id


def test_a_death_while_a_bundle_is_erased_is_made_good(kernel: Kernel) -> None:
    make_family(kernel)
    pass_days(91)
    run()
    pass_days(401)
    for step in ("expired", "manifest_made", "manifest_written", "removed_file"):
        with pytest.raises(Death):
            run(step=dies_at(step))
    run()
    assert not [name for name in files() if name.endswith(".gz")]
    assert [row["state"] for row in db.rows("SELECT state FROM archive_bundles", ())] == ["erased"]
    assert list(verify()) == []


def test_one_of_two_bundles_in_a_file_is_erased_whenever_a_run_dies(kernel: Kernel) -> None:
    held, other = make_family(kernel)[0], make_family(kernel)[0]
    before = seen(held, kernel.user_id)
    pass_days(91)
    run()
    (volume,) = files() - {manifests.key_of(1)}
    hold(held, "ops", "a dispute")
    pass_days(401)
    for step in ("copy_noted", "copy_written", "copied"):
        with pytest.raises(Death):
            run(step=dies_at(step))
    run()
    assert volume in files()  # for those who have just read that the bundle is there
    with pytest.raises(Death):
        run(step=dies_at("removed_file", times=3), given_up_seconds=0.0)
    run(given_up_seconds=0.0)
    run(given_up_seconds=0.0)
    assert volume not in files()
    kept = {key_of(row["id"]) for row in db.rows("SELECT id FROM archive_volumes", ())}
    assert len(kept) == 1
    assert files() == kept | {manifests.key_of(1), manifests.key_of(2)}
    assert seen(held, kernel.user_id) == before
    with pytest.raises(NotFound, match="erased"):
        seen(other, kernel.user_id)
    assert list(verify()) == []


def test_a_family_that_cannot_be_archived_holds_up_no_other(kernel: Kernel) -> None:
    bad, good = make_family(kernel)[0], make_family(kernel)[0]
    db.row(f"ALTER TABLE archive_bundles ADD CHECK (root_id <> '{bad}')", ())
    pass_days(91)
    done = run()
    assert (done["archived"], done["failed"], done["is_complete"]) == (1, 1, True)
    assert (rows_of(good), done["manifests"]) == ({}, 1)
    assert rows_of(bad)


def test_what_was_archived_is_named_and_erased_whatever_the_archive_of_others_meets(
    kernel: Kernel,
) -> None:
    make_family(kernel)
    pass_days(91)
    with pytest.raises(Death):
        run(step=dies_at("looked"))
    make_family(kernel)
    pass_days(401)
    with pytest.raises(Death):
        run(step=dies_at("read"))
    states = {row["state"] for row in db.rows("SELECT state FROM archive_bundles", ())}
    assert states == {"expired"}
    row = db.row("SELECT sum(bundles) AS named, sum(erased) AS erased FROM archive_manifests", ())
    assert row == {"named": 1, "erased": 1}


def test_a_batch_is_bounded_by_its_bytes_too(kernel: Kernel) -> None:
    for _ in range(3):
        db.row(
            "UPDATE steps SET output = (SELECT to_jsonb(string_agg(gen_random_uuid()::text, ''))"
            " FROM generate_series(1, 3000)) WHERE workflow_id = %s AND key = 'first'",
            (make_family(kernel)[0],),
        )
    pass_days(91)
    with connected() as connection:
        (page,) = finding.pages(connection, policy())
    assert [family.bytes // 100_000 for family in page.due] == [1, 1, 1]
    sizes = [len(each) for each in finding.batches(page.due, job.BATCH, 300_000)]
    assert sizes == [2, 1]


def test_two_runs_at_once_archive_each_family_once(kernel: Kernel, in_threads: Threads) -> None:
    roots = [make_family(kernel)[0] for _ in range(3)]
    pass_days(91)
    one, other = in_threads([partial(job.run, share=1.0)] * 2)
    counted = [each.get("archived", 0) for each in (one, other)]
    assert sum(counted) == len(roots)
    assert run()["archived"] == 0
    row = db.row("SELECT count(*) AS n FROM archive_bundles", ())
    assert row == {"n": len(roots)}
    assert list(verify()) == []
