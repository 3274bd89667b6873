"""A label does not move to a version that fails workflows which are still to start."""

import pytest

from app import db
from app.errors import Conflict
from chains.catalogue import versions
from chains.starting.writing import Deferral
from tests.integration.prompts.conftest import Prompts
from tests.unit.definitions import noop


@pytest.fixture
def left(prompts: Prompts) -> Prompts:
    """A definition whose version 1 names the label and is no longer active; version 2 of the prompt
    has a variable that it does not give."""
    prompts.make("{{ brief }}", "production")
    prompts.make("{{ tone }}: {{ brief }}")
    prompts.register()
    return prompts


def test_a_label_waits_for_workflows_that_are_to_start_on_a_version_left(left: Prompts) -> None:
    late = left.kernel.start("captioned", {"brief": "x"}, deferral=Deferral(None, 60.0, None))
    versions.register({"name": "captioned", "do": noop("a")}, activates=True)
    with pytest.raises(Conflict, match=r"captioned version 1.*variables/tone") as caught:
        left.move(2)
    assert caught.value.code == "prompt_does_not_fit"
    left.kernel.cancel(late)
    assert left.move(2).changed


def test_a_label_waits_for_a_version_that_another_definition_starts(left: Prompts) -> None:
    child = {"workflow": "c", "type": "captioned", "version": 1, "with": {"brief": "x"}}
    parent = left.kernel.register(child)
    versions.register({"name": "captioned", "do": noop("a")}, activates=True)
    with pytest.raises(Conflict, match="captioned version 1"):
        left.move(2)
    versions.register({"name": parent, "do": noop("a")}, activates=True)
    versions.retire(parent, 1)
    assert left.move(2).changed


def test_a_version_that_no_longer_fits_is_not_started_by_its_number(left: Prompts) -> None:
    versions.register({"name": "captioned", "do": noop("a")}, activates=True)
    left.kernel.start("captioned", {"brief": "x"}, version=1)
    left.move(2)
    with pytest.raises(Conflict, match=r"version 1, at .*variables/tone") as caught:
        left.kernel.start("captioned", {"brief": "x"}, version=1)
    assert caught.value.code == "prompt_does_not_fit"
    left.kernel.start("captioned", {"brief": "x"})


def test_a_fault_of_another_projects_prompt_says_whose_it_is(left: Prompts) -> None:
    versions.register({"name": "captioned", "do": noop("a")}, activates=True)
    db.row("UPDATE prompts SET deleted_at = clock_timestamp()", ())
    with pytest.raises(Conflict, match="in the project that has registered the definition"):
        versions.activate("captioned", 1)
