"""What all families of the imitated OpenAI stand on: parameters, quotas and admission."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

from ops.sandbox.billing import bills
from ops.sandbox.billing.bills import Bill
from ops.sandbox.box import Box
from ops.sandbox.openai import wire
from ops.sandbox.openai.models.catalogue import check_end
from ops.sandbox.openai.parameters import CALLS, check, from_text
from ops.sandbox.openai.quotas import Quotas
from ops.sandbox.store import Json
from ops.sandbox.wire import Call

_WRITER = re.compile(r"(gpt-|chatgpt-|o\d)[\w.-]*$")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}$")


class Desk:
    """What the endpoints of all families share."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.store, self.settings = box.store, box.settings
        self.quotas = Quotas(box.settings)

    def given(self, call: Call) -> Json:
        """Return the JSON object in the body of a request; raise OpenAI's error if its call has no
        such parameters."""
        body = wire.json_body(call.request)
        check(body, CALLS.get(call.operation, {}))
        return body

    def asked(self, call: Call) -> Json:
        """Return the parameters in the query of a request, in the same way."""
        return self._read(call, call.request.args.items(multi=True))

    def form(self, call: Call) -> Json:
        """Return the fields and the files of a form, in the same way."""
        request = call.request
        request.max_form_memory_size = None  # Samples of voices are fields, not files.
        pairs = chain(request.form.items(multi=True), request.files.items(multi=True))
        return self._read(call, pairs)

    def _read(self, call: Call, pairs: Iterable[tuple[str, Any]]) -> Json:
        schema = CALLS.get(call.operation, {})
        given = from_text(pairs, schema)
        check(given, schema)
        return given

    def admit(self, call: Call, model: str, tokens: int = 0, is_billed: bool = True) -> None:
        """Let a request to a model in, which takes so many tokens of its quota.

        Raise OpenAI's errors for a model that has ended, for an account that must pay first, for an
        overloaded model, and for a quota that is used up. A free call is let in without credit. A
        line of a batch takes nothing of these quotas: batches have their own.
        """
        check_end(self.box, model)
        if call.notes.get("is_batched"):
            return
        billing = self.settings.text("openai.billing")
        if is_billed and billing != "paid":
            raise wire.known(billing)
        if model in self.settings.text("openai.overloaded_models").split():
            raise wire.known("server_is_overloaded")
        call.notes["quota"] = self.quotas.take(model, tokens)

    def tier(self, given: Json) -> str:
        """Return the level of service that a body gets: `auto` means the project's own.

        Raise OpenAI's 429 if that is `flex` and there is no room for it.
        """
        asked = given.get("service_tier") or "auto"
        names = {"auto": self.settings.text("openai.service_tier"), "fast": "priority"}
        served = names.get(asked, asked)
        if served == "flex" and self.settings.flag("openai.flex_is_full"):
            raise wire.known("resource_unavailable")
        return str(served)

    def note(self, call: Call, effect: str, object_id: str, details: Json) -> None:
        """Write an effect into the journal; call this in the transaction of the effect."""
        self.store.journal("openai", call.operation, effect, object_id, key_of(call), details)

    def bill(self, call: Call, object_id: str, model: str, usage: Json, tier: str = "") -> None:
        """Bill the tokens of a call, at the level of service that was used; call this in the
        transaction of the call. A line of a batch is billed as such."""
        served = "batch" if call.notes.get("is_batched") else tier
        self.bill_tokens(call.operation, object_id, model, usage, served, key_of(call))

    def bill_tokens(
        self, operation: str, object_id: str, model: str, usage: Json, tier: str, key: str | None
    ) -> None:
        """Bill tokens of a call that was made before; call this in a transaction."""
        used = bills.of_tokens(usage)
        bill = Bill("openai", operation, object_id, undated(model), used, tier, key)
        bills.write(self.store, bill)


def key_of(call: Call) -> str | None:
    """Return the idempotency key of a call, which OpenAI ignores."""
    return call.request.headers.get("Idempotency-Key")


def writer(given: Json) -> str:
    """Return the model of a body, which must be one that writes texts."""
    model: str | None = given.get("model")
    if not model:
        raise wire.missing("model")
    if not _WRITER.match(model):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise wire.error(404, message, None, "model_not_found")
    return model


def dated(model: str) -> str:
    """Return the name of the version of a model, as answers have it."""
    return model if _DATE.search(model) else f"{model}-2025-08-07"


def undated(model: str) -> str:
    """Return the name of a model of whose version answers have the name."""
    return re.sub(rf"-{_DATE.pattern}", "", model)


def tokens_of(text: str) -> int:
    """Return about how many tokens a text has, at least one."""
    return max(1, len(text) // 4)
