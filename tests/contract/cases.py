"""The cases of a platform: one call, its webhook, and the effects of its actions.

The suite runs over them. The cases of a platform that ships are CASES in `cases.py` of its folder.
A package with a platform of its own defines CASES in its own tests.
"""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tasks
from app.errors import Outcome, Retryable, Suspend, Unknown
from app.platform import Delivery, Platform
from tests.contract.stage import Step
from tests.contract.vendors import Vendors

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Claim = Callable[..., Step]
"""`claim(action, input, forked_from=...)`: a claimed step, the only one of its workflow."""
Headers = dict[str, str]
Sign = Callable[[bytes, datetime, str], Headers]


@dataclass(frozen=True)
class Call:
    """A call that changes something at the platform, and the two settings that the call needs.

    `operation` is the sandbox's name of the call. The settings are empty if the call has its
    address and credential from its input.
    """

    operation: str
    perform: Callable[[], Any]
    url_setting: str
    credential: str
    is_repeatable: bool = False

    @property
    def lost(self) -> type[Outcome]:
        """The outcome of a call without an answer."""
        return Retryable if self.is_repeatable else Unknown


@dataclass(frozen=True)
class Hook:
    """How a platform signs its webhooks, a body that it sends, and what must be read from the body.

    `sign` follows the vendor's documents. It uses none of the code under test.
    """

    sign: Sign
    body: Callable[[datetime], Any]
    expected: tuple[str, str, str]
    """Delivery id, external id, kind."""
    tolerance: timedelta = timedelta(seconds=300)

    @property
    def signature_header(self) -> str:
        """The header that carries the signature."""
        return list(self.sign(b"", NOW, "whsec_c2VjcmV0"))[-1]


@dataclass(frozen=True)
class Effect:
    """An action, by one step of it, and the effect that it has.

    `operation` is the sandbox's name of the call that the error classes are tried on: that which
    makes the effect. It is empty if the action makes no call. `books` and `undone` are the names
    under which the sandbox counts the effect and its undoing; `books` is empty if the action has no
    effect at the vendor, for example because it only reads. What is undone before it is at the
    vendor is counted by a function.
    `results` are the results of the first and of the second compensation. `lag` is the sandbox's
    setting that delays the effect in the vendor's list. `held` are the sandbox's settings under
    which the effect does not end by itself. `reads` is the sandbox's name of the call by which a
    poll reads how the effect stands. An effect that is computed makes no call, and can be
    undone without an intent. An effect that is single concerns one object at the vendor, however
    often the step is retried by hand. One that `replaces` undoes that of the earlier generation
    before it is made. A call `is_repeatable` if a second one changes nothing; if
    `errors_do_nothing`, the vendor says by a 5xx that nothing was done. `dear` are the sandbox's
    settings under which the step costs the most, and `dearest` is the step with the dearest input.
    `fails` is the Outcome of an action that never succeeds. `told` lets the vendor's webhook about
    the effect arrive, if only that tells the lookup of a lost one; `gives_up` is when the lookup
    waits for it no more. An effect `is_written_off` if the vendor cannot be asked about it at all.
    It `is_erased` if its compensation has nothing to undo at the vendor, and erases what is kept.
    `carried` lets the hours pass after which the effect ends. `part` is what of the platform serves
    the call, for example a model, if each has circuits of its own.
    """

    action: str
    prepare: Callable[[Claim], Step]
    operation: str
    books: str
    suspends: bool = False
    is_looked_up: bool = False
    is_written_off: bool = False
    is_erased: bool = False
    undone: str | Callable[[], int] | None = None
    results: tuple[str, str] = ("", "")
    lag: str | None = None
    held: Mapping[str, Any] = field(default_factory=dict)
    reads: str = ""
    is_computed: bool = False
    is_single: bool = False
    replaces: bool = False
    is_repeatable: bool = False
    errors_do_nothing: bool = False
    dear: Mapping[str, Any] = field(default_factory=dict)
    dearest: Callable[[Claim], Step] | None = None
    fails: type[Outcome] | None = None
    told: Callable[[Vendors], None] | None = None
    gives_up: timedelta | None = None
    carried: Callable[[Vendors], None] | None = None
    part: str = ""

    @property
    def platform(self) -> str:
        """The platform of the action."""
        return self.action.partition(".")[0]

    @property
    def lost(self) -> type[Outcome]:
        """The outcome of a call without an answer."""
        return Retryable if self.is_repeatable else Unknown

    @property
    def failed(self) -> type[Outcome]:
        """The outcome of a call that is answered by a 5xx."""
        return Retryable if self.errors_do_nothing else self.lost

    def made(self, vendors: Vendors) -> int:
        """How often the vendor has made the effect since the reset."""
        return vendors.count(self.books) if self.books else 0

    def undoings(self, vendors: Vendors, made: int = 1) -> int:
        """How often the vendor has undone the effect, which was made so often. Some effects are
        undone by the same call, for example a field that is changed back."""
        assert self.undone is not None
        if not isinstance(self.undone, str):
            return self.undone()
        return vendors.count(self.undone) - (made if self.undone == self.books else 0)

    @property
    def made_by_two(self) -> int:
        """How often the vendor has made the effect when two generations of a step have run."""
        return 0 if self.is_computed or not self.books else 1 if self.is_single else 2

    def plan(self, vendors: Vendors, kind: str, **more: Any) -> None:
        """Plan a fault of the kind for the next call that makes the effect."""
        vendors.fault(self.platform, self.operation, kind, **more)

    def begin(self, step: Step) -> str:
        """Run the step to its end or its first wait, and return the output or the external id; for
        an action that never succeeds, its message."""
        if self.fails is not None:
            with pytest.raises(self.fails) as failed:
                step.run()
            return failed.value.message
        if not self.suspends:
            return json.dumps(step.run(), sort_keys=True)
        with pytest.raises(Suspend) as caught:
            step.run()
        return caught.value.external_id


@dataclass(frozen=True)
class Cases:
    """All that the suite needs to know of one platform."""

    platform: str
    called: Call | None
    """None if the actions call no platform."""
    webhook: Hook | None
    """None if the platform sends no webhooks."""
    effects: tuple[Effect, ...]
    has_limits: bool = True
    """Whether its client says under which limits a call falls."""
    has_circuits: bool = True
    """Whether the platform has an address of its own, whose calls pass circuits."""

    @property
    def call(self) -> Call:
        """The call of a platform that is called."""
        assert self.called is not None
        return self.called

    @property
    def descriptor(self) -> Platform:
        """The platform's descriptor."""
        (found,) = [each for each in tasks.platforms() if each.name == self.platform]
        return found

    @property
    def hook(self) -> Hook:
        """The webhooks of a platform that sends any."""
        assert self.webhook is not None
        return self.webhook

    @property
    def secret_setting(self) -> str:
        """The environment variable with the secret of the webhooks."""
        return f"{self.platform.upper()}_WEBHOOK_SECRET"

    def probe(self) -> None:
        """Run the platform's probe with the settings of the process."""
        assert self.descriptor.probe is not None
        self.descriptor.probe()

    def sign(self, body: bytes, at: datetime = NOW) -> Headers:
        """The headers of a webhook with this body that is signed at a time."""
        return self.hook.sign(body, at, os.environ[self.secret_setting])

    def signed(self, at: datetime = NOW) -> tuple[Headers, bytes]:
        """The headers and the body of a webhook that is signed at a time."""
        body = json.dumps(self.hook.body(at)).encode()
        return self.sign(body, at), body

    def verify(self, headers: Headers, body: bytes) -> Delivery:
        """What the platform reads from a webhook that arrives at NOW."""
        assert self.descriptor.verify is not None
        return self.descriptor.verify(headers, body, NOW)


def sign_standard(body: bytes, at: datetime, secret: str) -> Headers:
    """Sign as https://www.standardwebhooks.com says, beside signatures of other kinds."""
    stamp, message = str(int(at.timestamp())), "msg_1"
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message}.{stamp}.".encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    other = base64.b64encode(b"x" * 32).decode()
    signature = f"v1a,{other} v1,{other} v1,{mac}"
    return {
        "webhook-id": message,
        "webhook-timestamp": stamp,
        "webhook-signature": signature,
    }
