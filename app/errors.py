"""Every failure the system speaks of, as one tree; each leaf says what its catcher should do.

PlayalterError
├── Outcome                 how one attempt of a step ended, other than by success
│   ├── Retryable           nothing happened at the vendor; try again, `after` seconds if given
│   ├── Permanent           nothing will help: the step fails and undoing starts
│   ├── Unknown             the call may have happened: look it up before anything is sent again
│   ├── Suspend             the vendor works on it: wait for `external_id`, poll in `poll_seconds`
│   └── NotConfigured       a setting is missing here: the step waits for a worker that has it
├── InvalidInput            the request is wrong, at the JSON pointer `field`
├── Unauthorized            no key, or one that is not known
├── Forbidden               a known caller who may not
├── NotFound                no such row, or another user's
├── Conflict                the state does not allow it
├── TooLarge                the body is over its limit
├── SignatureInvalid        a webhook whose signature, time stamp or body is not the platform's
└── Unavailable             PostgreSQL or Valkey did not answer within its bound; nothing was lost
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


class PlayalterError(Exception):
    """A failure with a message for people and a `code` for machines; neither holds a secret."""

    default_code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class Outcome(PlayalterError):
    """How an attempt ended other than by success; raised by actions, recorded by the engine."""


class Retryable(Outcome):
    """The vendor definitely did nothing (refused, limited, never reached); try again."""

    default_code = "retryable"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        after: float | None = None,
        stored: bool = False,
    ) -> None:
        """`after`: seconds the vendor asks to wait. `stored`: the vendor replays a failure kept
        under this idempotency key, so only a new generation of the key can succeed."""
        super().__init__(message, code=code)
        self.after = after
        self.stored = stored


class Permanent(Outcome):
    """No retry can help (declined, rejected, invalid); the workflow is undone."""

    default_code = "permanent"

    def __init__(
        self, message: str, *, code: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        """`detail`: JSON facts worth keeping with the error, such as a vendor's object id."""
        super().__init__(message, code=code)
        self.detail = dict(detail or {})


class Unknown(Outcome):
    """The request may have reached the vendor and taken effect; only a lookup can tell."""

    default_code = "unknown_outcome"


class Suspend(Outcome):
    """Not a failure: the vendor works on `external_id`; no worker slot is held meanwhile."""

    default_code = "suspended"

    def __init__(
        self,
        external_id: str,
        *,
        poll_seconds: float = 60.0,
        until: datetime | None = None,
        signal: str | None = None,
    ) -> None:
        """`until`: the instant at which the wait is over, instead of polls; `signal`: the name
        under which what came before the wait was kept."""
        super().__init__(f"waiting for {external_id}")
        self.external_id = external_id
        self.poll_seconds = poll_seconds
        self.until = until
        self.signal = signal


class NotConfigured(Outcome):
    """Settings of the platform are not set in this process; nothing happened at the vendor."""

    default_code = "setting_missing"

    def __init__(self, names: tuple[str, ...]) -> None:
        """`names`: the environment variables."""
        alone = len(names) == 1
        super().__init__(
            f"{' and '.join(names)} {'is' if alone else 'are'} not set: set"
            f" {'it' if alone else 'them'}, or name a file in {names[0]}_FILE, and start the"
            " process again"
        )
        self.error = {"code": self.code, "message": self.message}


class InvalidInput(PlayalterError):
    """A request that names something wrong; `field` is a JSON pointer into its body."""

    default_code = "invalid_input"

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        code: str | None = None,
        errors: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """`errors`: further (pointer, message) pairs when several fields are wrong at once."""
        super().__init__(message, code=code)
        self.field = field
        self.errors = errors or ((field, message),)


class Unauthorized(PlayalterError):
    """No API key, or one that is not known or was revoked."""

    default_code = "unauthorized"


class Forbidden(PlayalterError):
    """A known caller who may not do this."""

    default_code = "forbidden"


class NotFound(PlayalterError):
    """No such row, or one of another user (which must look the same)."""

    default_code = "not_found"


class Conflict(PlayalterError):
    """The present state does not allow the request."""

    default_code = "conflict"


class TooLarge(PlayalterError):
    """A body over its stated limit."""

    default_code = "too_large"


class SignatureInvalid(PlayalterError):
    """A webhook that its platform did not sign, or signed too long ago."""

    default_code = "signature_invalid"


class Unavailable(PlayalterError):
    """A store did not answer within its bound; the caller may try again, nothing was lost."""

    default_code = "unavailable"
