"""After which refusals of a call the next model is asked. Pure.

Only a definite refusal counts, after which nothing was done and nothing is paid. A call whose
answer was lost is looked up first. What concerns the account, its credential or the platform as a
whole would be the same with another model, so that the step waits.
"""

from app.errors import NotServed, Outcome, Permanent, Retryable
from tasks.routing.route import ENDED, Passed

_MOST_CHARACTERS = 300
_OVERLOADED = frozenset(("server_is_overloaded", "slow_down"))
_UNSUITED = frozenset(
    ("context_length_exceeded", "request_too_large", "unsupported_parameter", "unsupported_value")
)
_MISSING = frozenset(
    ("model_not_found", "model_unsuitable", "model_without_version", "not_found", "version_gone")
)


def passed_over(err: Outcome, model: str, wait_seconds: float) -> Passed | None:
    """Why another model is asked after the error of a call of this one; None if none is.

    A model whose limit has room within `wait_seconds` is waited for.
    """
    if isinstance(err, NotServed):
        return _not_served(err, model, wait_seconds)
    if isinstance(err, Retryable) and err.code in _OVERLOADED:
        return _over(model, "overloaded", "overloaded", err)
    if isinstance(err, Permanent) and err.code == "model_ended":
        return Passed(model, ENDED, err.message)
    if isinstance(err, Permanent) and err.code in _MISSING:
        return _over(model, "missing", "not there", err)
    if isinstance(err, Permanent) and err.code in _UNSUITED:
        return _over(model, "unsuited", "it does not take the request", err)
    return None


def _not_served(err: NotServed, model: str, wait_seconds: float) -> Passed | None:
    if err.code == "circuit_open":
        return _over(model, "circuit_open", "its calls have failed", err)
    # Our own limiter says when the step's turn comes; the platform has refused a call.
    is_short = err.is_turn and (err.after or 0.0) <= wait_seconds
    if err.code != "rate_limited" or is_short:
        return None
    return _over(model, "rate_limited", "its limit is used up", err)


def _over(model: str, code: str, words: str, err: Outcome) -> Passed:
    return Passed(model, code, f"{words}: {err.message}"[:_MOST_CHARACTERS])
