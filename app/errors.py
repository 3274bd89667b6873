"""All exceptions of the system, as one tree. Each leaf says what the caller should do.

PlayalterError
├── Outcome                 how one attempt of a step ended, if it did not succeed
│   ├── Retryable           nothing happened at the vendor: try again, after `after` s if given
│   ├── NotServed           the platform serves no call of the account now: wait, count no try
│   ├── Permanent           no retry can help: the step fails, and the workflow is undone
│   ├── Unknown             the call may have taken effect: ask the vendor before it is sent again
│   ├── Suspend             the vendor works on `external_id`: wait, and poll after `poll_seconds`
│   └── NotConfigured       a setting is missing here: the step waits for a worker that has it
├── InvalidInput            the request is wrong, at the JSON pointer `field`
├── Unauthorized            the API key is missing, unknown or revoked
├── Forbidden               the caller is known, but may not do this
├── NotFound                the row does not exist, or belongs to another user
├── Conflict                the present state does not allow the request
├── TooLarge                the body is over its limit
├── TooMany                 the caller has too many requests of this kind: try again later
├── SignatureInvalid        a webhook's signature, time stamp or body is not the platform's
├── Unavailable             PostgreSQL, Valkey or the storage gave no answer; nothing is lost
│   └── PlatformUnavailable the platform that a request asks gives no answer now: try again later
└── PlatformRefused         the platform that a request asks refuses it: no repeat can help
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from app.cards import masked


class PlayalterError(Exception):
    """A failure with a message for people and a `code` for machines; neither holds a secret."""

    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        # A vendor may repeat what it was sent.
        message = masked(message)
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class Outcome(PlayalterError):
    """How an attempt ended that did not succeed. Actions raise it, and the engine records it."""


class Retryable(Outcome):
    """The vendor certainly did nothing: it refused the call, limited it, or was never reached."""

    default_code = "retryable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        after: float | None = None,
        stored: bool = False,
        is_try: bool = True,
    ) -> None:
        """`after` is the number of seconds that the vendor asks to wait. `stored` says that the
        vendor has stored a failure under this idempotency key and replays it, so that only a key
        of a new generation can succeed. `is_try` is false if the failure says nothing about the
        step, so that the attempt is not counted."""
        super().__init__(message, code=code)
        self.after = after
        self.stored = stored
        self.is_try = is_try


class NotServed(Outcome):
    """The platform did nothing, and serves no call like this one now, whatever step makes it.

    The credential is refused (code `credential_refused`), the account has no credit or quota left
    (`account_exhausted`) or is restricted (`account_restricted`), visitors of a page are asked to
    log in or are kept out by a firewall (`page_protected`), a limit is reached (`rate_limited`), or
    calls of this operation have failed, so that no more are made for a while (`circuit_open`). The
    step waits; no try is counted.
    """

    default_code = "rate_limited"
    is_urgent = False
    """Whether what the step acts on ends by itself, so that people must be told at once."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        after: float | None = None,
        stored: bool = False,
        is_turn: bool = False,
    ) -> None:
        """`after` is the number of seconds that the platform asks to wait. `stored` says that the
        platform repeats this answer under the idempotency key (see Retryable). `is_turn` says that
        our own limiter refused the call, and that `after` is when the step's turn comes: the step
        asks again then, however long it has waited."""
        super().__init__(message, code=code)
        self.after = after
        self.stored = stored
        self.is_turn = is_turn

    @property
    def ends_by_itself(self) -> bool:
        """Whether no person need do anything: a limit is reached, or a circuit is open."""
        return self.code in ("rate_limited", "circuit_open")


class Permanent(Outcome):
    """No retry can help: the call was declined, rejected or invalid. The workflow is undone."""

    default_code = "permanent"

    def __init__(
        self, message: str, *, code: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """`detail` holds JSON facts that are recorded with the error, for example a vendor's id."""
        super().__init__(message, code=code)
        self.detail = dict(detail or {})


class Unknown(Outcome):
    """The request may have reached the vendor and taken effect. Only the vendor can tell."""

    default_code = "unknown_outcome"


class Suspend(Outcome):
    """Not a failure: the vendor works on `external_id`. The step waits and uses no worker."""

    default_code = "suspended"

    def __init__(
        self,
        external_id: str,
        *,
        poll_seconds: float = 60.0,
        until: datetime | None = None,
        signal: str | None = None,
        early: str | None = None,
        asked: tuple[str, ...] | None = None,
        remind: tuple[datetime, ...] = (),
        event: dict[str, Any] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        """`until` is the time at which the wait ends; such a wait is not polled. `signal` is the
        name of the signal that may end it earlier. `early` is the external id under which signals
        of that name are stored if they come before the wait; a stored one ends the wait at once.
        `asked` are the e-mail addresses of the users who may give the signal; None means the
        workflow's owner. `remind` are the times at which people are reminded, in order. `event`
        says which incoming event may end the wait earlier (see `wait_for_event_v1`). `after` is
        called after the wait was committed, and looks for such an event that is stored already."""
        super().__init__(f"waiting for {external_id}")
        self.external_id = external_id
        self.poll_seconds = poll_seconds
        self.until = until
        self.signal = signal
        self.early = early
        self.asked = asked
        self.remind = remind
        self.event = event
        self.after = after


class NotConfigured(Outcome):
    """A setting of the platform is missing in this process. Nothing happened at the vendor."""

    default_code = "setting_missing"

    def __init__(self, names: tuple[str, ...]) -> None:
        """`names` are the environment variables that are not set."""
        alone = len(names) == 1
        super().__init__(
            f"{' and '.join(names)} {'is' if alone else 'are'} not set: set"
            f" {'it' if alone else 'them'}, or name a file in {names[0]}_FILE, and start the"
            " process again"
        )
        self.error = {"code": self.code, "message": self.message}


class InvalidInput(PlayalterError):
    """The request is wrong at `field`, a JSON pointer into its body."""

    default_code = "invalid_input"

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        code: str | None = None,
        errors: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """`errors` lists (pointer, message) pairs if several fields are wrong; without it, `field`
        and `message` are the only pair."""
        super().__init__(message, code=code)
        self.field = field
        self.errors = errors or ((field, message),)


class Unauthorized(PlayalterError):
    """The API key is missing, unknown or revoked."""

    default_code = "unauthorized"


class Forbidden(PlayalterError):
    """The caller is known, but may not do this."""

    default_code = "forbidden"


class NotFound(PlayalterError):
    """The row does not exist, or belongs to another user. Callers must not see which."""

    default_code = "not_found"


class Conflict(PlayalterError):
    """The present state does not allow the request."""

    default_code = "conflict"


class TooLarge(PlayalterError):
    """The body is over its limit."""

    default_code = "too_large"


class TooMany(PlayalterError):
    """The caller has too many requests of this kind open, or has sent too many of them.

    It may try again when one has ended, or after `after` seconds.
    """

    default_code = "too_many"

    def __init__(
        self, message: str, *, code: str | None = None, after: float | None = None
    ) -> None:
        """`after`: so many seconds from now, a request of this kind may succeed."""
        super().__init__(message, code=code)
        self.after = after


class SignatureInvalid(PlayalterError):
    """The platform did not sign this webhook, or signed it too long ago."""

    default_code = "signature_invalid"


class Unavailable(PlayalterError):
    """PostgreSQL, Valkey or the storage did not answer in time. Nothing is lost, and the caller may
    try again."""

    default_code = "unavailable"


class PlatformUnavailable(Unavailable):
    """The platform that must be asked for the answer cannot be asked now. Nothing was changed."""

    default_code = "platform_unavailable"


class PlatformRefused(PlayalterError):
    """The platform that must be asked for the answer refuses it."""

    default_code = "platform_refused"
