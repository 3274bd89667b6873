"""Typed calls to Stripe; every failure is raised as an exception of app.errors.

Invariant: the SDK's own retries are off, and app.outbound.http sends its requests.
https://docs.stripe.com/api
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from app.outbound import http
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.stripe import limits, restriction
from tasks.stripe.settings import StripeSettings

if TYPE_CHECKING:
    import stripe

SETTING = "STRIPE_API_KEY"
_PAGE = 100
MOST_REFUNDS = _PAGE
_MAX_PAGES = 30


class Declined(Permanent):
    """A payment was declined. `intent` is its PaymentIntent as Stripe has answered with it, if it
    has; the id alone is in `detail`, which is stored."""

    intent: Json | None = None


class StripeApi:
    """The calls to Stripe that the actions make. Stripe keeps an idempotency `key` for 24 h."""

    def __init__(self, settings: StripeSettings) -> None:
        self._sdk = _sdk(settings)
        self._spare = spare(SETTING, settings.api_key, settings.api_key_old)

    def create_payment_intent(self, params: Json, key: str) -> Json:
        """Create a PaymentIntent, and confirm it if `params` say so.

        Raises Permanent, with the PaymentIntent's id, if the payment is declined.
        """
        return self.perform(
            "payment_intents.create",
            lambda v1: v1.payment_intents.create(_any(params), {"idempotency_key": key}),
            repeatable=False,
        )

    def retrieve_payment_intent(self, payment_intent: str) -> Json:
        """One PaymentIntent with its latest charge."""
        return self.perform(
            "payment_intents.retrieve",
            lambda v1: v1.payment_intents.retrieve(payment_intent, {"expand": ["latest_charge"]}),
            repeatable=True,
        )

    def capture_payment_intent(self, request: Json, key: str) -> Json:
        """Capture the PaymentIntent `payment_intent` by the other parameters of the request, for
        good: what is not captured is released."""
        params = request | {"expand": ["latest_charge"]}
        payment_intent = params.pop("payment_intent")
        return self.perform(
            "payment_intents.capture",
            lambda v1: v1.payment_intents.capture(
                payment_intent,
                _any(params),
                {"idempotency_key": key},
            ),
            repeatable=False,
        )

    def cancel_payment_intent(self, payment_intent: str) -> Json:
        """Release the amount that is not captured; a second cancel changes nothing."""
        return self.perform(
            "payment_intents.cancel",
            lambda v1: v1.payment_intents.cancel(payment_intent),
            repeatable=True,
        )

    def payment_intents_with(
        self, metadata: Mapping[str, str], since: datetime, until: datetime
    ) -> list[Json] | None:
        """The PaymentIntents created in the interval whose metadata contain `metadata`.

        Returns None if the interval has more PaymentIntents than are read, which is 3000. Stripe's
        list is strongly consistent. Stripe's search is not used, because it lags behind:
        https://docs.stripe.com/search#data-freshness
        """
        params: Json = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "limit": _PAGE,
        }
        found: list[Json] = []
        for _ in range(_MAX_PAGES):
            page = self._list_payment_intents(params)
            found += [each for each in page["data"] if _carries(each, metadata)]
            if not page["has_more"]:
                return found
            params = params | {"starting_after": page["data"][-1]["id"]}
        return None

    def _list_payment_intents(self, params: Json) -> Json:
        return self.perform(
            "payment_intents.list",
            lambda v1: v1.payment_intents.list(_any(params)),
            repeatable=True,
        )

    def refunds_of(self, payment_intent: str) -> list[Json]:
        """The newest refunds of a PaymentIntent, at most MOST_REFUNDS."""
        page = self.perform(
            "refunds.list",
            lambda v1: v1.refunds.list({"payment_intent": payment_intent, "limit": _PAGE}),
            repeatable=True,
        )
        return list(page["data"])

    def retrieve_refund(self, refund: str) -> Json:
        """Read one refund."""
        return self.perform(
            "refunds.retrieve", lambda v1: v1.refunds.retrieve(refund), repeatable=True
        )

    def create_refund(self, params: Json, key: str) -> Json:
        """Refund a captured PaymentIntent: `amount`, or the part that is not refunded yet."""
        return self.perform(
            "refunds.create",
            lambda v1: v1.refunds.create(_any(params), {"idempotency_key": key}),
            repeatable=False,
        )

    def balance_transactions(self, since: datetime, until: datetime, after: str | None) -> Json:
        """A page of the balance's transactions of the interval, the newest first, each with its
        source: {data, has_more}. `after` is the id of the last transaction of the page before."""
        params: Json = {
            "created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())},
            "limit": _PAGE,
            "expand": ["data.source"],
        }
        if after is not None:
            params["starting_after"] = after
        return self.perform(
            "balance_transactions.list",
            lambda v1: v1.balance_transactions.list(_any(params)),
            repeatable=True,
        )

    def probe(self) -> None:
        """Make one cheap authenticated read."""
        self.perform("probe", lambda v1: v1.payment_intents.list({"limit": 1}), repeatable=True)

    def perform(
        self,
        name: str,
        make: Callable[[Any], Any],
        *,
        repeatable: bool,
        check: Callable[[Json], None] = lambda answer: None,
    ) -> Json:
        """Make one call by the SDK, which `make` gets as its `v1`, and return the answer.

        `name` is the call's name in the record, the limits and the circuits. `repeatable`: a second
        call changes nothing, so a lost answer is asked for again. `check` raises an error that
        `http.reading` knows if the answer lacks what its caller reads of it. Raises an Outcome.
        """
        try:
            return self._performed(name, make, repeatable=repeatable, check=check)
        except NotServed as err:
            if err.stored and not self._may_charge():
                # Under a new key Stripe would refuse the call too, and keep that answer as well.
                raise NotServed(err.message, code=err.code) from err
            raise

    def _may_charge(self) -> bool:
        """Whether the account may charge now. True if that cannot be told."""
        try:
            found = self._performed(
                "accounts.retrieve_current",
                lambda v1: v1.accounts.retrieve_current(),
                repeatable=True,
            )
        except Outcome:
            return True
        return found.get("charges_enabled") is not False

    def _performed(
        self,
        name: str,
        make: Callable[[Any], Any],
        *,
        repeatable: bool,
        check: Callable[[Json], None] = lambda answer: None,
    ) -> Json:
        import stripe

        with http.operation(
            "stripe",
            name,
            repeatable=repeatable,
            is_failure=_is_failure,
            demand=limits.demand(name),
            spare=self._spare,
        ):
            try:
                with http.reading():
                    answer = _object(make(self._sdk.v1).to_dict())
                    check(answer)
                    return answer
            except stripe.StripeError as err:
                with http.reading():
                    raise _outcome(err, repeatable=repeatable) from err


def api() -> StripeApi:
    """The client with this process's settings. app.outbound owns its connections.

    Raises NotConfigured if the credential is not set.
    """
    return _api(StripeSettings.current())


@lru_cache(maxsize=4)
def _api(settings: StripeSettings) -> StripeApi:
    return StripeApi(settings)


def probe() -> None:
    """Raise an Outcome if Stripe does not answer or refuses the key."""
    api().probe()


def warm() -> None:
    """Import the SDK, which takes about 2 s."""
    import stripe  # noqa: F401 - the import is the point


def _sdk(settings: StripeSettings) -> "stripe.StripeClient":
    # Imported late: it takes 2 s, and the web process imports this module but never calls Stripe.
    import stripe

    class Client(stripe.HTTPClient):
        name = "playalter"

        def request(
            self,
            method: str,
            url: str,
            headers: Mapping[str, str] | None,
            post_data: Any = None,
            *,
            _usage: list[str] | None = None,
        ) -> tuple[str, int, Mapping[str, str]]:
            reply = http.send(method, url, headers=headers, body=post_data)
            return reply.body.decode("utf-8", "replace"), reply.status, reply.headers

        def close(self) -> None:
            """Do nothing: app.outbound owns the connections."""

    stripe.enable_telemetry = False
    # At DEBUG it logs whole answers, and so the secrets by which a browser acts for a customer.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    return stripe.StripeClient(
        needed(settings.api_key, SETTING),
        base_addresses={"api": settings.base_url},
        max_network_retries=0,
        http_client=Client(),
    )


def _is_failure(reply: http.HttpReply) -> bool:
    """Whether Stripe does not work. A stored 5xx, which it repeats, says nothing of now."""
    return reply.status >= 500 and not _is_stored(reply.headers)


def _is_stored(headers: Mapping[str, Any]) -> bool:
    return str(headers.get("idempotent-replayed")).lower() == "true"


def _outcome(err: "stripe.StripeError", *, repeatable: bool) -> Outcome:
    """The outcome of a call after an error of the SDK.

    https://docs.stripe.com/error-handling, https://docs.stripe.com/api/idempotent_requests
    """
    import stripe

    status, headers, param = err.http_status or 0, err.headers or {}, getattr(err, "param", None)
    message = http.quoted(str(err.user_message or err.code or "no message"))
    is_card = isinstance(err, (stripe.CardError, stripe.IdempotencyError))
    if not is_card and restriction.is_told(status, err.code, param, message):
        return restriction.outcome(message, is_stored=_is_stored(headers))
    if isinstance(err, stripe.CardError):
        return _declined(err, message)
    is_conflict = isinstance(err, stripe.IdempotencyError) or status == 409
    if is_conflict or status < 400:
        # Stripe still works on a request with this key, or has seen the key with other parameters,
        # or sent an answer that cannot be read. In each case the effect may have happened.
        said = f"stripe answered {status}: {message}"
        return (Retryable if repeatable else Unknown)(said, code="conflict")
    if status >= 500 and _is_stored(headers):
        # Stripe stores a 500 under the key too, so only a new key can succeed.
        return Retryable(
            f"stripe repeats a stored answer with status {status}",
            code="stored_failure",
            stored=True,
        )
    return http.refusal(
        "stripe",
        # Stripe answers some limits with a 400 (https://docs.stripe.com/rate-limits).
        429 if err.code == "rate_limit" else status,
        message,
        setting=SETTING,
        headers=headers,
        code=http.code_of(err.code),
        detail={"param": param} if isinstance(param, str) else None,
    )


def _declined(err: Any, message: str) -> Declined:
    body = err.json_body if isinstance(err.json_body, dict) else {}
    told = {
        "payment_intent": _code_at(body, "error", "payment_intent", "id"),
        "decline_code": _code_at(body, "error", "decline_code"),
    }
    declined = Declined(message, code=http.code_of(err.code) or "card_declined", detail=told)
    if told["payment_intent"] is not None:
        declined.intent = body["error"]["payment_intent"]
    return declined


def _code_at(value: Any, *path: str) -> str | None:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return http.code_of(value)


_WITHOUT_ID = frozenset(
    (
        "balance",
        "billing.meter_event",
        "billing.meter_event_adjustment",
        "cash_balance",
        "list",
        "login_link",
        "search_result",
    )
)


def _object(answer: Any) -> Json:
    """An answer that is what Stripe calls an object, or a list of them.

    Raises an error that `http.reading` knows if it is nothing of the kind.
    """
    kind = http.text_at(http.bounded(answer), "object")
    if kind not in _WITHOUT_ID:
        http.text_at(answer, "id")
    if not isinstance(answer.get("metadata") or {}, dict):
        raise ValueError("metadata")
    if kind in ("list", "search_result"):
        check_list(answer)
    found: Json = answer
    return found


def check_list(answer: Any) -> None:
    """Raise an error that `http.reading` knows if this is no page of a list of objects, of which
    more can be read where there are more."""
    data, has_more = answer["data"], answer["has_more"]
    if not isinstance(data, list) or not isinstance(has_more, bool) or (has_more and not data):
        raise ValueError("data, has_more")
    for each in data:
        _object(each)


def _carries(each: Json, metadata: Mapping[str, str]) -> bool:
    theirs = each.get("metadata") or {}
    return all(theirs.get(name) == value for name, value in metadata.items())


def _any(params: Json) -> Any:
    """The parameters without a type: the SDK wants TypedDicts, and ours were recorded as JSON."""
    return params
