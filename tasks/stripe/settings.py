"""Stripe's settings."""

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from app.settings import HttpUrl, PlatformSettings


class StripeSettings(PlatformSettings):
    """`webhook_secret` is the secret that Stripe's dashboard shows for the webhook endpoint."""

    model_config = SettingsConfigDict(env_prefix="STRIPE_")

    base_url: HttpUrl = "https://api.stripe.com"
    api_key: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
