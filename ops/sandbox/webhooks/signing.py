"""The headers by which each vendor signs its webhooks."""

from __future__ import annotations

import base64
import hashlib
import hmac


def signature_headers(
    scheme: str, secret: str, message_id: str, body: bytes, now: int
) -> dict[str, str]:
    """Return the headers of a delivery signed at `now` (Unix seconds).

    `stripe`: Stripe-Signature; `vercel`: x-vercel-signature; `standard`: standardwebhooks.com.
    """
    headers = {"Content-Type": "application/json"}
    if scheme == "stripe":
        mac = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        headers["Content-Type"] = "application/json; charset=utf-8"
        return headers | {
            "Stripe-Signature": f"t={now},v1={mac}",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
    if scheme == "vercel":
        sha1 = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
        return headers | {"x-vercel-signature": sha1, "User-Agent": "Vercel/1.0"}
    if scheme == "agora":
        # https://docs.agora.io/en/video-calling/advanced-features/receive-notifications
        return headers | {
            "Agora-Signature": hmac.new(secret.encode(), body, hashlib.sha1).hexdigest(),
            "Agora-Signature-V2": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
    return headers | standard_headers(secret, message_id, body, now)


def standard_headers(secret: str, message_id: str, body: bytes, now: int) -> dict[str, str]:
    """Return the three Standard Webhooks headers for a `whsec_` secret, or for several that are
    separated by spaces: each gives a signature."""
    signed = f"{message_id}.{now}.".encode() + body
    keys = [base64.b64decode(each.removeprefix("whsec_")) for each in secret.split()]
    macs = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs),
    }
