"""OpenAI's settings."""

from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.platform import Json
from app.settings import HttpUrl, PlatformSettings
from tasks.reuse import LONGEST, account_of
from tasks.signatures import StandardSecret

Tier = Literal["auto", "default", "flex", "scale", "priority", "fast"]


class OpenAISettings(PlatformSettings):
    """`caption_model`, `moderation_model` and so on are the models of the actions where a step
    names none."""

    model_config = SettingsConfigDict(env_prefix="OPENAI_")

    base_url: HttpUrl = "https://api.openai.com/v1"
    api_key: SecretStr = SecretStr("")
    api_key_old: SecretStr = SecretStr("")
    webhook_secret: StandardSecret = SecretStr("")
    webhook_secret_old: StandardSecret = SecretStr("")
    caption_model: str = "gpt-6-luna"
    moderation_model: str = "omni-moderation-latest"
    respond_model: str = "gpt-6-luna"
    embed_model: str = "text-embedding-3-small"
    image_model: str = "gpt-image-2.5-flare"
    transcribe_model: str = "gpt-transcribe"
    translate_model: str = "whisper-1"
    speak_model: str = "gpt-4o-mini-tts"
    service_tier: Tier = "default"
    """The level of service that captions and answers ask for. It is always sent: without it, or as
    `auto`, the project's own setting at OpenAI decides, which may cost six times as much, so that
    budgets must reserve that."""
    cache_seconds: float = Field(default=86_400.0, ge=0, le=LONGEST)
    """How old the result of an equal request may be that a step takes; 0: none is taken. A step's
    own `cache` comes first."""
    moderation_cache_seconds: float = Field(default=3600.0, ge=0, le=LONGEST)
    """The same for judgements, if it is less. A judgement follows from the brief and the model, and
    an hour covers the steps of a batch and those of a workflow that is started anew; but the model
    behind a name such as `omni-moderation-latest` changes, so an old judgement is not used long."""
    poll_seconds: float = Field(default=60.0, gt=0)
    """The time between two looks at a response in the background that has not ended."""
    adopt_seconds: float = Field(default=3600.0, ge=0)
    """So long the webhook about a response in the background is waited for, if the answer to the
    call that asked for it was lost: at least, and a second for each ten of its
    `max_output_tokens`. Then the call is written off and made again. Without a secret for webhooks
    it is so at once."""
    batch_lines: int = Field(default=2_000, ge=1, le=50_000)
    """A batch has at most so many lines, each of which is the call of a step."""
    batch_bytes: int = Field(default=50_000_000, ge=10_000, le=200_000_000)
    """A batch's file has at most so many bytes. A worker holds them twice while it sends them."""
    batch_wait_seconds: float = Field(default=300.0, ge=0)
    """The oldest line waits so long for others before its batch is sent."""
    batch_poll_seconds: float = Field(default=300.0, gt=0)
    """The time between two looks at a batch, whose webhook mostly comes first. It grows with the
    batch's age, up to an hour."""
    batch_tries: int = Field(default=3, ge=1, le=20)
    """A line that OpenAI does not come to within a day, or fails for a reason that passes, is sent
    in at most so many batches."""
    limit_requests: float = Field(default=500.0, ge=0)
    """What OpenAI allows of each model in each minute, until its answers tell it. 0: not known."""
    limit_tokens: float = Field(default=200_000.0, ge=0)
    """The tokens of each model that OpenAI allows in each minute."""
    limit_in_flight: int = Field(default=50, ge=0)
    """The calls of each model that may run at the same time. 0: any number."""

    def models(self) -> tuple[str, ...]:
        """See PlatformSettings.

        OpenAI ends all its models that speak or translate, and has named no successor: people are
        told so once a step has used one.
        """
        own = (self.caption_model, self.respond_model, self.embed_model, self.image_model)
        return (*own, self.transcribe_model, self.moderation_model)

    def account(self) -> Json:
        """The account whose results a step may take (see Reuse)."""
        return account_of(self.base_url, self.api_key)
