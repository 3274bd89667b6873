"""Versions and labels of prompts: what is made, where labels point, and what moves them."""

from functools import partial

import pytest

from app import db
from app.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.identity import keys
from chains.catalogue import versions
from chains.catalogue.prompts import deleting, labels, listing
from chains.catalogue.prompts.subject import Author
from tests.integration.conftest import Threads
from tests.integration.prompts.conftest import LABEL, Prompts

Move = tuple[int | None, int | None, bool]


def history(label: str = LABEL) -> list[Move]:
    """The moves of a label, the oldest first: (from, to, whether it is a rollback)."""
    rows = db.rows(
        "SELECT from_version, to_version, is_rollback FROM prompt_moves WHERE label = %s"
        " ORDER BY id",
        (label,),
    )
    return [(row["from_version"], row["to_version"], row["is_rollback"]) for row in rows]


def test_a_changed_body_is_the_next_version_and_moves_no_label(prompts: Prompts) -> None:
    first = prompts.make("one", LABEL)
    assert (first.version, first.is_new, prompts.pointing()) == (1, True, 1)
    second = prompts.make("two")
    assert (second.version, second.is_new, prompts.pointing()) == (2, True, 1)
    again = prompts.make("one")
    assert (again.version, again.is_new, again.hash) == (1, False, first.hash)
    assert first.hash != second.hash


def test_the_same_body_made_at_the_same_time_is_one_version(
    prompts: Prompts, in_threads: Threads
) -> None:
    made = in_threads([lambda: prompts.make("one", LABEL)] * 4 + [lambda: prompts.make("two")] * 4)
    assert {each.version for each in made} == {1, 2}
    assert len(listing.versions(prompts.author.user_id, "caption")) == 2
    assert len(history()) == 1


def test_a_version_that_fails_its_test_is_not_there(prompts: Prompts) -> None:
    case = {"variables": {"brief": "x"}, "contains": ["y"]}
    with pytest.raises(InvalidInput, match="does not contain 'y'"):
        prompts.make("{{ brief }}", LABEL, tests=[case])
    with pytest.raises(NotFound):
        listing.show(prompts.author.user_id, "caption")


def test_a_label_is_rolled_back_in_one_call_and_then_one_further(prompts: Prompts) -> None:
    for text in ("one", "two", "three"):
        prompts.make(text, LABEL)
    moved = prompts.rollback()
    assert (moved.from_version, moved.version, prompts.pointing()) == (3, 2, 2)
    assert (prompts.rollback().version, prompts.pointing()) == (1, 1)
    with pytest.raises(Conflict, match="no other version") as caught:
        prompts.rollback()
    assert caught.value.code == "no_earlier_version"
    prompts.move(3)
    assert prompts.rollback().version == 1
    assert history() == [
        (None, 1, False), (1, 2, False), (2, 3, False), (3, 2, True), (2, 1, True), (1, 3, False),
        (3, 1, True),
    ]  # fmt: skip


def test_a_rollback_passes_over_what_was_deleted(prompts: Prompts) -> None:
    for text in ("one", "two", "three"):
        prompts.make(text, LABEL)
    deleting.delete_version(prompts.author, "caption", 2)
    assert prompts.rollback().version == 1


def test_a_version_for_the_rollback_of_a_shared_label_is_deleted_by_an_admin_only(
    prompts: Prompts,
) -> None:
    for text in ("{{ brief }}", "2 {{ brief }}", "3 {{ brief }}"):
        prompts.make(text, LABEL)
    prompts.make("4 {{ brief }}", "beta")
    prompts.make("5 {{ brief }}", "beta")
    prompts.register()
    plain = Author(prompts.author.user_id, is_admin=False)
    with pytest.raises(Forbidden, match="'production', which captioned version 1 names"):
        deleting.delete_version(plain, "caption", 2)
    deleting.delete_version(plain, "caption", 4)
    assert prompts.rollback().version == 2
    deleting.delete_version(plain, "caption", 3)
    deleting.delete_version(prompts.author, "caption", 1)


def test_each_label_has_a_history_of_its_own(prompts: Prompts) -> None:
    prompts.make("one", LABEL)
    prompts.make("two", "staging")
    prompts.move(2)
    prompts.rollback()
    assert (prompts.pointing(), prompts.pointing("staging")) == (1, 2)
    assert history("staging") == [(None, 2, False)]
    with pytest.raises(Conflict):
        prompts.rollback("staging")


def test_a_move_to_where_a_label_points_is_not_noted(prompts: Prompts) -> None:
    prompts.make("one", LABEL)
    moved = prompts.move(1)
    assert (moved.changed, moved.version, len(history())) == (False, 1, 1)


def test_of_two_moves_that_expect_the_same_version_one_is_refused(
    prompts: Prompts, in_threads: Threads
) -> None:
    prompts.make("one", LABEL)
    for text in ("two", "three"):
        prompts.make(text)

    def move(version: int) -> int | str:
        try:
            return prompts.move(version, before=1).version
        except Conflict as err:
            return err.code

    won = in_threads([lambda: move(2), lambda: move(3)])
    assert sorted(map(str, won)) == [str(prompts.pointing()), "label_moved"]
    assert len(history()) == 2


def test_moves_at_the_same_time_are_a_chain_in_the_order_of_their_times(
    prompts: Prompts, in_threads: Threads
) -> None:
    for text in ("1", "2", "3", "4", "5", "6"):
        prompts.make(text)
    in_threads([partial(prompts.move, number) for number in range(1, 7)])
    moves = history()
    assert len(moves) == 6
    assert [before for before, _, _ in moves] == [None, *(to for _, to, _ in moves[:-1])]
    assert prompts.pointing() == moves[-1][1]
    times = db.rows("SELECT moved_at FROM prompt_moves ORDER BY id", ())
    stamps = [row["moved_at"] for row in times]
    assert stamps == sorted({*stamps})


def test_a_clock_that_was_set_back_puts_no_move_before_an_earlier_one(prompts: Prompts) -> None:
    prompts.make("one", LABEL)
    prompts.make("two")
    db.row("UPDATE prompt_moves SET moved_at = moved_at + interval '1 hour'", ())
    db.row("UPDATE prompt_labels SET moved_at = moved_at + interval '1 hour'", ())
    prompts.move(2)
    (label,) = listing.labels(prompts.author.user_id, "caption")
    assert (label["version"], label["from_version"]) == (2, 1)
    assert [to for _, to, _ in history()] == [1, 2]


def test_the_prompts_of_a_project_are_not_found_by_others(prompts: Prompts) -> None:
    prompts.make("one", LABEL)
    stranger = Author(keys.create_key("eve@example.com", is_admin=True)[0], is_admin=True)
    assert listing.listing(stranger.user_id) == []
    for ask in (
        lambda: listing.show(stranger.user_id, "caption"),
        lambda: listing.version(stranger.user_id, "caption", 1),
        lambda: listing.moves(stranger.user_id, "caption", LABEL),
        lambda: labels.move(stranger, "caption", LABEL, 1),
        lambda: labels.rollback(stranger, "caption", LABEL),
        lambda: deleting.delete_prompt(stranger, "caption"),
    ):
        with pytest.raises(NotFound):
            ask()
    other = Prompts(prompts.kernel, stranger)
    assert other.make("of Eve").version == 1
    assert [each["newest_version"] for each in listing.listing(prompts.author.user_id)] == [1]


def test_colleagues_of_a_project_share_its_prompts(prompts: Prompts) -> None:
    prompts.make("one", LABEL)
    colleague, _ = keys.create_key("bob@example.com")
    db.row(
        "UPDATE users AS b SET organisation_id = a.organisation_id, project_id = a.project_id"
        " FROM users AS a WHERE a.id = %s AND b.id = %s",
        (prompts.author.user_id, colleague),
    )
    assert listing.show(colleague, "caption")["labels"] == {LABEL: 1}


def test_a_label_that_a_definition_names_is_moved_by_an_admin_only(prompts: Prompts) -> None:
    prompts.make("{{ brief }}", LABEL)
    prompts.make("Brief: {{ brief }}", "staging")
    prompts.register()
    plain = Prompts(prompts.kernel, Author(prompts.author.user_id, is_admin=False))
    with pytest.raises(Forbidden, match="captioned version 1"):
        plain.move(2)
    with pytest.raises(Forbidden):
        plain.make("{{ brief }}!", LABEL)
    assert len(listing.versions(prompts.author.user_id, "caption")) == 2, "nothing was made"
    assert plain.move(1, "staging").changed
    assert prompts.move(2).changed
    with pytest.raises(Forbidden):
        plain.rollback()
    assert prompts.rollback().version == 1


def test_a_label_moves_to_no_version_that_a_live_definition_does_not_fit(prompts: Prompts) -> None:
    prompts.make("{{ brief }}", LABEL)
    prompts.make("{{ tone }}: {{ brief }}")
    tone = {"type": "string", "default": "dry"}
    prompts.make("{{ tone }}: {{ brief }}", variables={"brief": {"type": "string"}, "tone": tone})
    prompts.register()
    with pytest.raises(Conflict, match=r"captioned version 1.*variables/tone") as caught:
        prompts.move(2)
    assert caught.value.code == "prompt_does_not_fit"
    assert prompts.pointing() == 1
    assert prompts.move(3).changed, "what has a default may be left out"
    other = {"step": "a", "action": "control.noop"}
    versions.register({"name": "captioned", "do": other}, activates=True)
    assert prompts.move(2).changed, "no workflow starts with the first version now"
    with pytest.raises(Conflict, match=r"version 1, at /do/.*variables/tone") as caught:
        versions.rollback("captioned")
    assert caught.value.code == "prompt_does_not_fit"
    with pytest.raises(Conflict, match="at /do/"):
        versions.spread("captioned", {1: 1, 2: 9})
    prompts.rollback()
    assert versions.rollback("captioned").version == 1


def test_what_is_in_use_is_not_deleted(prompts: Prompts) -> None:
    for text in ("{{ brief }}", "2 {{ brief }}", "3 {{ brief }}", "4 {{ brief }}"):
        prompts.make(text)
    prompts.move(1)
    prompts.move(4, "beta")
    prompts.register()
    prompts.register("fixed", version=3)
    workflow = prompts.start()
    prompts.move(2)

    def refused(version: int | None) -> str:
        delete = partial(deleting.delete_prompt, prompts.author, "caption")
        if version is not None:
            delete = partial(deleting.delete_version, prompts.author, "caption", version)
        with pytest.raises(Conflict) as caught:
            delete()
        return f"{caught.value.code} {caught.value.message}"

    assert refused(1) == f"prompt_in_use workflow {workflow} has not ended and uses it"
    assert refused(2).startswith("prompt_labelled labels point to it: production")
    assert refused(3).startswith("prompt_in_use fixed version 1 names it")
    assert refused(None).startswith("prompt_labelled labels point to it: beta, production")
    with pytest.raises(Conflict, match="captioned version 1 names this label"):
        labels.remove(prompts.author, "caption", LABEL)
    labels.remove(prompts.author, "caption", "beta")
    deleting.delete_version(prompts.author, "caption", 4)
    prompts.kernel.cancel(workflow)
    deleting.delete_version(prompts.author, "caption", 1)
    assert [each["version"] for each in listing.versions(prompts.author.user_id, "caption")] == [
        3, 2,
    ]  # fmt: skip
    with pytest.raises(NotFound):
        deleting.delete_version(prompts.author, "caption", 1)


def test_the_numbers_of_a_prompt_that_was_deleted_are_not_given_again(prompts: Prompts) -> None:
    prompts.make("one", LABEL)
    prompts.make("two")
    labels.remove(prompts.author, "caption", LABEL)
    deleting.delete_prompt(prompts.author, "caption")
    assert listing.listing(prompts.author.user_id) == []
    with pytest.raises(NotFound):
        prompts.move(1)
    made = prompts.make("one")
    assert (made.version, made.is_new) == (3, True)
    assert listing.show(prompts.author.user_id, "caption")["labels"] == {}
