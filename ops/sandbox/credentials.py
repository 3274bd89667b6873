"""The keys and secrets of the imitated vendors, derived from the seed.

The same seed gives the same credentials, so a client's configuration survives a restart. They are
valid only for a sandbox on the loopback interface.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"playalter sandbox {seed} {name}".encode()).digest()


def _hex(seed: int, name: str, length: int) -> str:
    return _digest(seed, name).hex()[:length]


def _whsec(seed: int, name: str) -> str:
    return "whsec_" + base64.b64encode(_digest(seed, name)[:24]).decode()


@dataclass(frozen=True)
class Credentials:
    """The credentials of all vendors; each field is named like its environment variable."""

    STRIPE_API_KEY: str
    STRIPE_WEBHOOK_SECRET: str
    OPENAI_API_KEY: str
    OPENAI_WEBHOOK_SECRET: str
    REPLICATE_API_TOKEN: str
    REPLICATE_WEBHOOK_SECRET: str
    VERCEL_TOKEN: str
    VERCEL_WEBHOOK_SECRET: str
    AGORA_APP_ID: str
    AGORA_APP_CERTIFICATE: str
    AGORA_CUSTOMER_ID: str
    AGORA_CUSTOMER_SECRET: str
    AGORA_WEBHOOK_SECRET: str
    N8N_API_KEY: str
    N8N_WEBHOOK_SECRET: str
    HTTP_JOBS_TOKEN: str
    N8N_WEBHOOK_PATH: str = "playalter"

    @classmethod
    def from_seed(cls, seed: int) -> Credentials:
        """Derive the credentials from a seed; each has the format of its vendor's real ones."""
        return cls(
            STRIPE_API_KEY="sk_test_51" + _hex(seed, "stripe", 60),
            STRIPE_WEBHOOK_SECRET="whsec_" + _hex(seed, "stripe webhook", 32),
            OPENAI_API_KEY="sk-proj-" + _hex(seed, "openai", 48),
            OPENAI_WEBHOOK_SECRET=_whsec(seed, "openai webhook"),
            REPLICATE_API_TOKEN="r8_" + _hex(seed, "replicate", 37),
            REPLICATE_WEBHOOK_SECRET=_whsec(seed, "replicate webhook"),
            VERCEL_TOKEN=_hex(seed, "vercel", 24),
            VERCEL_WEBHOOK_SECRET=_hex(seed, "vercel webhook", 24),
            AGORA_APP_ID=_hex(seed, "agora app", 32),
            AGORA_APP_CERTIFICATE=_hex(seed, "agora certificate", 32),
            AGORA_CUSTOMER_ID=_hex(seed, "agora customer", 32),
            AGORA_CUSTOMER_SECRET=_hex(seed, "agora secret", 32),
            AGORA_WEBHOOK_SECRET=_hex(seed, "agora webhook", 32),
            N8N_API_KEY="n8n_api_" + _hex(seed, "n8n", 40),
            N8N_WEBHOOK_SECRET=_whsec(seed, "n8n webhook"),
            HTTP_JOBS_TOKEN="jobs_" + _hex(seed, "http jobs", 40),
        )
