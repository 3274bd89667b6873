"""The actions that a step may use."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

ActionName = Annotated[
    str, Field(pattern=r"^[a-z0-9_]{1,40}\.[a-z0-9_]{1,80}$", examples=["control.noop"])
]


class ActionPath(BaseModel):
    """One action."""

    name: ActionName


class Action(BaseModel):
    """An operation that a step may call.

    `effect` says what a second call would do, and so what happens if an answer is lost: `none` and
    `repeatable` are called again, `idempotent` again under the same key, `lookup` after the
    platform was asked, and for `person` a person decides. `chosen`: the input of each step says it.
    """

    name: ActionName
    platform: str
    queue: str = Field(description="The workers that take this queue run the action.")
    description: str | None
    effect: Literal["none", "idempotent", "lookup", "repeatable", "person", "chosen"]
    compensation: str | None = Field(description="How the action is undone; null if it is not.")
    has_lookup: bool = Field(description="Whether the platform can be asked about a lost answer.")
    tries: int = Field(description="Unless the step's `retry` says otherwise.")
    attempt_seconds: float = Field(description="The most that `attempt_timeout` may be.")
    key_life_seconds: float | None
    is_slow: bool
    example: dict[str, Any] | None = Field(description="An input that the action takes.")
    example_cost_ceiling_micro_usd: int | None = Field(
        description="The most that a step with the example's input may cost, in millionths of a US"
        " dollar; null if the action declares no cost."
    )
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = Field(
        description="Null if the action never succeeds, or if its package does not describe it."
    )


class ActionList(BaseModel):
    """All actions, sorted by name."""

    items: list[Action]
