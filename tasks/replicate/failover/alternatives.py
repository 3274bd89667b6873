"""Models that do the same job, and how a step's inputs and their outputs fit together.

Invariant: an adapter only renames, adds, leaves out and picks. What a model was given can be read
from the step's input and its alternative alone.
"""

from typing import Annotated, Any, Self

from pydantic import Field, JsonValue, model_validator

from app.errors import Permanent
from app.platform import ActionInput, Json

NAME = r"^\w[\w.-]*/\w[\w.-]*"
_MOST = 100

Path = Annotated[str, Field(pattern=r"^[\w-]+(\.[\w-]+){0,9}$", max_length=200)]
Words = Annotated[str, Field(min_length=4, max_length=200)]


class Alternative(ActionInput):
    """A model or a deployment that does the step's job, and what it calls the step's inputs.

    `rename` says where an input of the step goes, as a path (`settings.strength`), or null if the
    model has none such. `constants` are inputs that only this model gets, by their paths. `pick` is
    the path to what of its output counts (`images.0`). An error with one of the words of `is_down`
    says that the model itself does not work, beside those that Replicate's codes say.
    """

    model: str | None = Field(default=None, pattern=rf"{NAME}(:\w+)?$", max_length=200)
    deployment: str | None = Field(default=None, pattern=rf"{NAME}$", max_length=200)
    rename: dict[str, Path | None] = Field(default={}, max_length=_MOST)
    constants: dict[Path, JsonValue] = Field(default={}, max_length=_MOST)
    pick: Path | None = None
    is_down: list[Words] = Field(default=[], max_length=_MOST)

    @property
    def name(self) -> str:
        """The name of the model or of the deployment, which is also that of its price."""
        return self.deployment or self.model or ""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.model is None) == (self.deployment is None):
            raise ValueError("is either a `model` or a `deployment`")
        return self


def adapted(given: Json, alternative: Alternative) -> Json:
    """The inputs of a step as a model takes them.

    >>> other = Alternative(model="a/b", rename={"size": "set.px", "seed": None},
    ...     constants={"set.fit": True})
    >>> adapted({"prompt": "rain", "size": 64, "seed": 7}, other)
    {'prompt': 'rain', 'set': {'px': 64, 'fit': True}}
    """
    made: Json = {}
    for name, value in given.items():
        path = alternative.rename.get(name, name)
        if name not in alternative.rename:
            made[name] = value
        elif path is not None:
            _put(made, path, value)
    for path, value in alternative.constants.items():
        _put(made, path, value)
    return made


def picked(output: Any, path: str | None) -> Any:
    """What of a model's output counts. Raises Permanent `output_unfit` if it has no such part."""
    found = output
    for name in path.split(".") if path else ():
        try:
            found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, TypeError, ValueError) as err:
            raise Permanent(f"the output of the model has no {path}", code="output_unfit") from err
    return found


def _put(made: Json, path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for name in outer:
        inner = made.setdefault(name, {})
        if not isinstance(inner, dict):
            raise Permanent(
                f"the alternative gives {path}, and {name} is no object", code="inputs_unfit"
            )
        made = inner
    made[last] = value
