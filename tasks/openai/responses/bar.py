"""What an answer must be worth, beside its form: the input `quality` of `openai.respond`."""

from pydantic import Field

from app.platform import ActionInput
from tasks.openai.settings import OpenAISettings
from tasks.quality.texts import TextBar
from tasks.routing.inputs import Name


class Judge(ActionInput):
    """A model that gives an answer 0 to 100 points by the `criteria`; `bar` is the least that
    passes. Without a `model`, the configured one judges."""

    criteria: str = Field(min_length=1, max_length=8_000)
    model: Name | None = None
    bar: int = Field(default=70, ge=0, le=100)
    max_output_tokens: int = Field(default=2_000, ge=16, le=8_000)

    @property
    def judging_model(self) -> str:
        """The model that judges."""
        return self.model or OpenAISettings.current().respond_model


class Quality(TextBar):
    """What the text of an answer must be; of data, all its texts count.

    With `moderation`, OpenAI's moderation must not flag it, and the `judge` must give it enough
    points. Both are asked only for an answer that has all else.
    """

    moderation: bool = False
    judge: Judge | None = None
