"""Prompts of Ada's project, and definitions that use them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.platform import Json
from chains.catalogue import versions
from chains.catalogue.prompts import creating, labels
from chains.catalogue.prompts.creating import Made
from chains.catalogue.prompts.labels import Moved
from chains.catalogue.prompts.subject import Author
from chains.prompts.body import PromptBody
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel
from tests.unit.definitions import noop

LABEL = "production"


@dataclass(frozen=True)
class Prompts:
    """The prompt `caption` of a user."""

    kernel: Kernel
    author: Author

    def make(self, text: str, label: str | None = None, **rest: Any) -> Made:
        """A version with this text."""
        body = PromptBody.model_validate({"text": text, **rest})
        return creating.create(self.author, "caption", body, label=label)

    def move(self, version: int, label: str = LABEL, **rest: Any) -> Moved:
        """Let a label point to a version."""
        return labels.move(self.author, "caption", label, version, **rest)

    def rollback(self, label: str = LABEL) -> Moved:
        """Roll a label back."""
        return labels.rollback(self.author, "caption", label)

    def pointing(self, label: str = LABEL) -> int | None:
        """The version to which a label points."""
        row = db.row("SELECT version FROM prompt_labels WHERE label = %s", (label,))
        return None if row is None else int(row["version"])

    def register(self, name: str = "captioned", **which: Any) -> str:
        """A definition with a step before and a step with the prompt, which are called a and b."""
        chosen = which or {"label": LABEL}
        variables = {"brief": {"$": "input.brief"}}
        prompt = {"name": "caption", "variables": variables, **chosen}
        step = {"step": "b", "action": "openai.caption", "with": {"prompt": prompt}}
        do = {"sequence": [noop("a"), step]}
        versions.register({"name": name, "do": do}, activates=True, by=self.author.user_id)
        return name

    def start(self, type: str = "captioned", brief: Any = "Heroes") -> UUID:
        """A workflow of it."""
        return self.kernel.start(type, {"brief": brief})

    def given(self, workflow: UUID, key: str = "b") -> Json:
        """The input with which the step would run its attempt now."""
        prepared = prepare(self.kernel.claim(workflow, key))
        if prepared.fault is not None:
            raise prepared.fault
        given: Json = prepared.input
        return given

    def used(self, workflow: UUID) -> int:
        """The version that the step b of a workflow would use now."""
        db.row(
            "UPDATE steps SET publish_after = clock_timestamp(), status = 'pending'"
            " WHERE workflow_id = %s AND key = 'b'",
            (workflow,),
        )
        return int(self.given(workflow)["prompt"]["version"])


@pytest.fixture
def prompts(kernel: Kernel) -> Prompts:
    """Prompts of the user of the kernel, who has an admin key."""
    return Prompts(kernel, Author(kernel.user_id, is_admin=True))
