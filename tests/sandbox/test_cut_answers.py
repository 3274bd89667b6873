"""An answer of an imitated vendor that breaks off in the middle of its body."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.running import Sandbox


@pytest.mark.parametrize(
    ("vendor", "operation", "path"),
    [
        ("openai", "models.list", "OPENAI_BASE_URL"),
        ("stripe", "customers.create", "STRIPE_BASE_URL"),
    ],
)
def test_an_answer_may_break_off_in_the_middle(
    sandbox: Sandbox, vendor: str, operation: str, path: str
) -> None:
    sandbox.fault(vendor=vendor, operation=operation, kind="cut_reply")
    key = {"Authorization": f"Bearer {sandbox.env(f'{vendor.upper()}_API_KEY')}"}
    address, more = sandbox.env(path), {"headers": key, "timeout": 5}

    def ask() -> requests.Response:
        if vendor == "openai":
            return requests.get(f"{address}/models", **more)  # type: ignore[arg-type]
        return requests.post(f"{address}/v1/customers", **more)  # type: ignore[arg-type]

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask()
    assert ask().ok
