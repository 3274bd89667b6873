"""Each call that a platform's client makes, and what its result must look like."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.agora.client import api as agora
from tasks.http import client as http_client
from tasks.n8n.client import api as n8n
from tasks.openai.client import api as openai
from tasks.replicate.client import api as replicate
from tasks.stripe.client import api as stripe
from tasks.vercel.client import api as vercel
from tests.contract.replicate.cases import HELLO
from tests.contract.stripe.steps import PAYMENT
from tests.contract.vercel.cases import SITE

Made = dict[str, Any]
_keys = itertools.count()
LONG_AGO, YEAR = datetime.now(UTC) - timedelta(days=1), timedelta(days=365)


@dataclass(frozen=True)
class Asked:
    """One call. `make` gets what the calls before it have made, by their names."""

    name: str
    make: Callable[[Made], Any]
    is_sound: Callable[[Any], bool]
    is_repeatable: bool = True
    errors_do_nothing: bool = False
    """Whether the platform says by a 5xx that nothing was done."""
    says_no: tuple[str, ...] = ()
    """Codes of refusals that stand in an answer with a status of success."""


@dataclass(frozen=True)
class Client:
    """A platform's calls, in an order in which they can be made, and the setting of its address."""

    platform: str
    setting: str
    calls: tuple[Asked, ...]


def key() -> str:
    """An idempotency key that was never used."""
    return f"fuzz-{next(_keys)}"


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _of(**kinds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A hash whose fields are sound."""
    return lambda made: (
        isinstance(made, dict) and all(is_sound(made[name]) for name, is_sound in kinds.items())
    )


def _all(is_sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda made: isinstance(made, list) and all(map(is_sound, made))


def _maybe(is_sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda made: made is None or is_sound(made)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _nothing(value: Any) -> bool:
    return value is None


def _id(made: Made) -> str:
    return str(made["payment_intents.create"]["id"])


_object = _of(id=_text)
STRIPE = Client(
    "stripe",
    "STRIPE_BASE_URL",
    (
        Asked("payment_intents.create", lambda made: stripe().create_payment_intent(PAYMENT, key()),
              _object, is_repeatable=False),
        Asked("payment_intents.retrieve",
              lambda made: stripe().retrieve_payment_intent(_id(made)), _object),
        Asked("payment_intents.capture",
              lambda made: stripe().capture_payment_intent({"payment_intent": _id(made)}, key()),
              _object, is_repeatable=False),
        Asked("payment_intents.list",
              lambda made: stripe().payment_intents_with({}, LONG_AGO, LONG_AGO + YEAR),
              _maybe(_all(_object))),
        Asked("refunds.create",
              lambda made: stripe().create_refund({"payment_intent": _id(made)}, key()),
              _object, is_repeatable=False),
        Asked("refunds.list", lambda made: stripe().refunds_of(_id(made)), _all(_object)),
        Asked("refunds.retrieve",
              lambda made: stripe().retrieve_refund(made["refunds.create"]["id"]), _object),
        Asked("balance_transactions.list",
              lambda made: stripe().balance_transactions(LONG_AGO, LONG_AGO + YEAR, None),
              _of(data=_all(_object), has_more=_flag)),
        Asked("probe", lambda made: stripe().probe(), _nothing),
    ),
)  # fmt: skip
OPENAI = Client(
    "openai",
    "OPENAI_BASE_URL",
    (
        Asked("moderations.create", lambda made: openai().moderate("omni-moderation-latest", "x"),
              _of(flagged=_flag, categories=_all(_text), model=_text)),
        Asked("chat.completions.create",
              lambda made: openai().complete("gpt-4.1-mini", "s", "u", 100, key(), tier="default"),
              _of(text=lambda text: isinstance(text, str), refusal=_maybe(_text), model=_text,
                  input_tokens=_count, cached_tokens=_count, cache_write_tokens=_count,
                  output_tokens=_count, tier=_maybe(_text)),
              is_repeatable=False, errors_do_nothing=True),
        Asked("probe", lambda made: openai().probe(), _nothing),
    ),
)  # fmt: skip
_prediction = _of(id=_text, status=_text)
REPLICATE = Client(
    "replicate",
    "REPLICATE_BASE_URL",
    (
        Asked("files.create",
              lambda made: replicate().upload(b"x", "a.png", "image/png", {"a": "b"}),
              _of(id=_text, url=_text)),
        Asked("files.list", lambda made: replicate().files_with({"a": "b"}, LONG_AGO),
              _all(_of(id=_text, url=_text))),
        Asked("predictions.create", lambda made: replicate().create_prediction(HELLO), _prediction,
              is_repeatable=False),
        Asked("predictions.get",
              lambda made: replicate().prediction(made["predictions.create"]["id"]),
              _of(id=_text, status=_text, is_running=_flag,
                  predict_seconds=lambda seconds: 0 <= seconds < 1e7)),
        Asked("predictions.list", lambda made: list(replicate().predictions(LONG_AGO)),
              _all(_prediction)),
        Asked("predictions.cancel",
              lambda made: replicate().cancel_prediction(made["predictions.create"]["id"]), _flag),
        Asked("files.delete",
              lambda made: replicate().delete_file(made["files.create"]["id"]), _flag),
        Asked("probe", lambda made: replicate().probe(), _nothing),
    ),
)  # fmt: skip
_deployment = _of(id=_text, url=_maybe(_text), status=_text, error=_maybe(_text))
VERCEL = Client(
    "vercel",
    "VERCEL_BASE_URL",
    (
        Asked("files.upload", lambda made: vercel().upload(b"x"), _nothing),
        Asked("deployments.create",
              lambda made: vercel().create_deployment(SITE | {"meta": {"reference": "r"}}),
              _deployment, is_repeatable=False),
        Asked("deployments.get",
              lambda made: vercel().deployment(made["deployments.create"]["id"]), _deployment),
        Asked("deployments.list", lambda made: list(vercel().deployments_with("r", LONG_AGO)),
              _all(_deployment)),
        Asked("deployments.delete",
              lambda made: vercel().delete_deployment(made["deployments.create"]["id"]), _flag),
        Asked("probe", lambda made: vercel().probe(), _nothing),
    ),
)  # fmt: skip
AGORA = Client(
    "agora",
    "AGORA_BASE_URL",
    (
        Asked("kicking_rules.create", lambda made: agora().close("channel", 10), _maybe(_count),
              says_no=("platform_refused",)),
        Asked("kicking_rules.list", lambda made: agora().is_closed("channel", 1.0), _flag,
              says_no=("platform_refused",)),
        Asked("probe", lambda made: agora().probe(), _nothing, says_no=("platform_refused",)),
    ),
)  # fmt: skip
N8N = Client(
    "n8n",
    "N8N_BASE_URL",
    (
        Asked("webhooks.trigger",
              lambda made: n8n().trigger("playalter", {"event": "e", "reference": "r"}, "msg-1"),
              _of(execution=_maybe(_text))),
        Asked("executions.get", lambda made: n8n().execution_status("1"), _maybe(_text)),
        Asked("probe", lambda made: n8n().probe(), _nothing),
    ),
)  # fmt: skip


def http_calls(url: str) -> Client:
    """The calls of `http.request` to an address."""
    asked = {"url": f"{url}/jobs", "method": "POST", "json": {"a": 1}, "effect": "person",
             "secrets": {"Authorization": "jobs"}}  # fmt: skip
    read = {"url": f"{url}/jobs", "method": "GET", "secrets": {"Authorization": "jobs"}}
    sound = _of(status=_count, headers=lambda headers: isinstance(headers, dict))
    return Client(
        "http",
        "",
        (
            Asked(
                "POST", lambda made: http_client.change(asked, key()), sound, is_repeatable=False
            ),
            Asked("GET", lambda made: http_client.read(read), sound),
        ),
    )


CLIENTS = (STRIPE, OPENAI, REPLICATE, VERCEL, AGORA, N8N)
