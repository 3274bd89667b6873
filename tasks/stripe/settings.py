"""Stripe's settings."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from app.settings import HttpUrl, PlatformSettings, StrongSecret
from tasks.stripe.fraud import rules


def _rules(text: str) -> str:
    rules.parsed(text)
    return text


class StripeSettings(PlatformSettings):
    """`webhook_secret` is the secret that Stripe's dashboard shows for the webhook endpoint.

    `..._old` is the credential before the present one, which is valid too while it is replaced.
    """

    model_config = SettingsConfigDict(env_prefix="STRIPE_")

    base_url: HttpUrl = "https://api.stripe.com"
    api_key: SecretStr = SecretStr("")
    api_key_old: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    webhook_secret_old: SecretStr = SecretStr("")
    limit_requests: float = Field(default=100.0, ge=0)
    """What Stripe allows the account in each second; a test account has 25. 0: not known."""
    limit_endpoint_requests: float = Field(default=25.0, ge=0)
    """What Stripe allows in each second at each endpoint."""
    limit_in_flight: int = Field(default=100, ge=0)
    """The calls of the account that may run at the same time. 0: any number."""
    index_key: StrongSecret | None = None
    """The key of the hashes by which payments of one card, e-mail or address are counted. Without
    it, none are counted."""
    index_key_old: StrongSecret | None = None
    """The key before the present one. It counts nothing, and finds what is to be deleted."""
    review_rules: Annotated[str, AfterValidator(_rules)] = rules.DEFAULT
    """The rules of `stripe.review` (tasks/stripe/fraud/rules.py)."""
    review_risk: Literal["elevated", "highest", "never"] = "elevated"
    """The risk, as Radar says it, from which on a payment is reviewed."""
