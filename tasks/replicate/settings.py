"""Replicate's settings."""

from decimal import Decimal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.settings import HttpUrl, PlatformSettings
from tasks.reuse import LONGEST
from tasks.signatures import StandardSecret


class ReplicateSettings(PlatformSettings):
    """`face_swap_model` is `owner/name` or `owner/name:version`.

    `hardware` is what the model runs on, by whose price its seconds are counted.
    `poll_seconds` is the time between two status requests for a prediction that has not ended. A
    workflow with a budget reserves the price of `ceiling_seconds` for each prediction (less if its
    step times out before), or that of `ceiling_pictures` if the model is sold by the picture.
    """

    model_config = SettingsConfigDict(env_prefix="REPLICATE_")

    base_url: HttpUrl = "https://api.replicate.com"
    api_token: SecretStr = SecretStr("")
    api_token_old: SecretStr = SecretStr("")
    webhook_secret: StandardSecret = SecretStr("")
    webhook_secret_old: StandardSecret = SecretStr("")
    face_swap_model: str = "playalter-sandbox/face-swap"
    cache_seconds: float = Field(default=86_400.0, ge=0, le=LONGEST)
    """How old the result of an equal request may be that a step takes; 0: none is taken. A step's
    own `cache` comes first."""
    poll_seconds: float = Field(default=120.0, gt=0)
    hardware: str = "gpu-l40s"
    ceiling_hardware: str = ""
    """The dearest hardware on which a model without a price may run; empty: the dearest of all."""
    ceiling_seconds: float = Field(default=1800.0, gt=0)
    """For how long Replicate lets a prediction run at most
    (https://replicate.com/docs/topics/predictions/lifecycle)."""
    ceiling_pictures: int = Field(default=4, ge=1)
    training_hardware: str = "gpu-h100"
    """What trainings run on, by whose price their seconds are counted."""
    ceiling_training_seconds: float = Field(default=7200.0, gt=0)
    """A workflow with a budget reserves the price of so many seconds for each training."""
    deployment_hours: float = Field(default=24.0, gt=0, le=8784)
    """A step that lets instances of a deployment run all the time reserves and books so many hours
    of them."""
    running: int = Field(default=0, ge=0)
    """How many predictions and trainings may run at the same time, of all organisations; 0: any
    number. `running_of_organisation` are those of each organisation."""
    running_of_organisation: int = Field(default=0, ge=0)
    hourly_usd: Decimal | None = Field(default=None, ge=0, lt=1_000_000, decimal_places=6)
    """What all steps that begin in an hour may cost; None: any amount. `hourly_usd_of_organisation`
    is that of each organisation."""
    hourly_usd_of_organisation: Decimal | None = Field(
        default=None, ge=0, lt=1_000_000, decimal_places=6
    )
    limit_creations: float = Field(default=600.0, ge=0)
    """The predictions that Replicate lets begin in each minute. 0: not known."""
    limit_requests: float = Field(default=3000.0, ge=0)
    """All other calls that Replicate allows in each minute."""
    limit_in_flight: int = Field(default=50, ge=0)
    """The calls that may run at the same time. 0: any number."""

    def models(self) -> tuple[str, ...]:
        """See PlatformSettings."""
        return (self.face_swap_model,)
