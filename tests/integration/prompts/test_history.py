"""The history of labels: a clock that was set back, a start that nobody sees yet, and its size."""

import contextlib

import psycopg2
import pytest

from app import db
from app.errors import Conflict
from app.settings import Settings
from chains.catalogue.prompts import deleting, labels
from tests.integration.driving import run
from tests.integration.prompts.conftest import LABEL, Prompts


@pytest.fixture
def two(prompts: Prompts) -> Prompts:
    """A prompt of two versions, a label that points to the first, and a definition with it."""
    prompts.make("One: {{ brief }}", LABEL)
    prompts.make("Two: {{ brief }}")
    prompts.register()
    return prompts


def moves(label: str = LABEL) -> list[int | None]:
    """The versions to which a label was moved, oldest first."""
    rows = db.rows("SELECT to_version FROM prompt_moves WHERE label = %s ORDER BY id", (label,))
    return [row["to_version"] for row in rows]


def test_a_workflow_keeps_its_version_although_the_clock_was_set_back(two: Prompts) -> None:
    workflow = two.start()
    assert run(workflow, "a", "control.noop")
    db.row(
        "UPDATE workflows SET started_at = started_at + interval '1 hour' WHERE id = %s",
        (workflow,),
    )
    two.move(2)
    assert two.used(workflow) == 1
    two.rollback()
    two.move(2)
    assert two.used(workflow) == 1


def test_a_version_with_which_a_workflow_may_be_starting_is_not_deleted(
    two: Prompts, settings: Settings
) -> None:
    with contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as other:
        other.cursor().execute("SELECT 1")
        two.move(2)
        with pytest.raises(Conflict, match="may not be stored yet") as caught:
            deleting.delete_version(two.author, "caption", 1)
        assert caught.value.code == "prompt_in_use"
        other.rollback()
        other.cursor().execute("SELECT 1")
        deleting.delete_version(two.author, "caption", 1)


def test_moves_are_kept_as_long_as_a_workflow_needs_them_and_the_newest_ones(
    two: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "MOST_MOVES", 4)
    two.move(2, "beta")
    for version in (2, 1, 2):
        two.move(version)
    second = two.start()
    for _ in range(3):
        two.move(1)
        two.move(2)
    assert moves()[0] == 2, "what was before the workflow is gone, but for the last move"
    assert len(moves()) == 7
    assert moves("beta") == [2], "the newest move of a label stays"
    assert run(second, "a", "control.noop")
    assert two.used(second) == 2
    db.row("UPDATE workflows SET completed_at = clock_timestamp() WHERE id = %s", (second,))
    two.move(1)
    assert moves() == [2, 1, 2, 1]
    (row,) = db.rows(
        "SELECT prompt_version_at_v1(id, %s, '2000-01-01') AS version FROM prompts", (LABEL,)
    )
    assert row["version"] == 1, "what a fork of an old workflow finds"


def test_removed_labels_leave_nothing_in_the_end(
    two: Prompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "MOST_MOVES", 4)
    for number in range(6):
        two.move(1, f"try-{number}")
        labels.remove(two.author, "caption", f"try-{number}")
    (row,) = db.rows("SELECT count(*) AS n FROM prompt_moves WHERE label LIKE %s", ("try-%",))
    assert row["n"] == 4
    assert moves() == [1]
