"""Accepts a verified webhook: stores it, wakes the step that waits for it, and books its facts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import structlog
from psycopg2 import DataError

import tasks
from app import cards, db, ledger
from app.archive.restoring import restore
from app.batches import rows
from app.card_numbers import without_card_numbers
from app.errors import SignatureInvalid, Unavailable
from app.keys import workflow_of
from app.money.facts import UNREADABLE, Fact
from app.platform import Delivery, FailedUndo, Json
from app.protocol.deliveries import fail_effect, fail_undo, keep_delivery, trace_delivery
from chains import waking
from chains.actions import actions

log = structlog.get_logger()

LONGEST_NAME = 1000
"""The most bytes of a webhook's id, of the id that it is about, and of its kind. They are indexed,
and PostgreSQL takes no more than some 2,700 bytes there."""


def accept_delivery(platform: str, delivery: Delivery) -> bool:
    """Store the webhook, wake the step that waits for it, and book what it says about money.

    Return False if the same webhook was already stored. Raise Unavailable if the platform must send
    it again, and SignatureInvalid if its ids cannot be those of the platform.
    """
    _require_names(delivery)
    delivery = _without_card_numbers(platform, delivery)
    is_new = keep_delivery(platform, delivery, _traced(platform))
    if delivery.external_id is not None:
        waking.wake(platform, delivery.external_id)
        if platform in _with_batches():
            rows.look_soon(platform, delivery.external_id)
    told = _completed(platform, delivery)
    if told.trace != delivery.trace:
        trace_delivery(platform, told, _traced(platform))
    if told.trace is not None:
        waking.look_up_soon(platform, delivery.delivery_id)
    try:
        _book(platform, told)
    finally:
        if told.failed_undo is not None:
            _reopen(platform, told.failed_undo)
    return is_new


def _require_names(delivery: Delivery) -> None:
    names = {
        "id": delivery.delivery_id,
        "object's id": delivery.external_id or "",
        "type": delivery.kind,
    }
    for name, value in names.items():
        if len(value.encode(errors="replace")) > LONGEST_NAME:
            raise SignatureInvalid(f"the {name} of the webhook has over {LONGEST_NAME} bytes")
        if cards.is_certain(value):
            raise SignatureInvalid(f"the {name} of the webhook holds the number of a payment card")


def _without_card_numbers(platform: str, delivery: Delivery) -> Delivery:
    payload = without_card_numbers(delivery.payload, f"webhook of {platform}")
    failed = delivery.failed_undo
    if payload is delivery.payload and failed is None:
        return delivery
    told = None if failed is None else replace(failed, reason=cards.masked(failed.reason))
    return replace(delivery, payload=payload, failed_undo=told)


def _completed(platform: str, delivery: Delivery) -> Delivery:
    """The webhook with what it names at the platform; of a repeated one too, as for `_book`."""
    complete = _completing().get(platform)
    return delivery if complete is None else complete(delivery)


@lru_cache(maxsize=1)
def _with_batches() -> frozenset[str]:
    return frozenset(each.name for each in tasks.platforms() if each.batches is not None)


@lru_cache(maxsize=1)
def _completing() -> dict[str, Callable[[Delivery], Delivery]]:
    known = tasks.platforms()
    return {each.name: each.completed for each in known if each.completed is not None}


def _book(platform: str, delivery: Delivery) -> None:
    """Book the facts that the webhook reports, of a repeated one too: the process may have died
    after it was stored."""
    read = _readers().get(platform)
    if read is None:
        return
    try:
        ledger.book(*read(delivery.payload), source="webhook")
    except (*UNREADABLE, DataError) as err:
        # Sent again, it would be no better. The reconciliation with the platform finds what lacks.
        log.error(
            "ledger.webhook_unreadable",
            platform=platform,
            delivery=delivery.delivery_id,
            exc_info=err,
        )


@lru_cache(maxsize=1)
def _readers() -> dict[str, Callable[[Json], Sequence[Fact]]]:
    return {each.name: each.facts for each in tasks.platforms() if each.facts is not None}


def _reopen(platform: str, failed: FailedUndo) -> None:
    """Call a person, since a compensation, or the effect of a step, was done and has failed at the
    platform.

    This is done for a repeated webhook too: the process may have died after it was stored.
    """
    verdict = _failed(platform, failed)
    if verdict == "unknown" and _is_restored(platform, failed):
        verdict = _failed(platform, failed)
    if verdict == "running":
        raise Unavailable(
            "an attempt of the step is running; send the event again", code="undo_running"
        )
    if verdict in ("reopened", "called"):
        log.error(
            "undo.failed_later" if verdict == "reopened" else "effect.failed_later",
            platform=platform,
            reference=failed.reference,
            external_id=failed.effect_id,
            reason=failed.reason,
        )


def _failed(platform: str, failed: FailedUndo) -> str:
    """Record it of the step's compensation, or, if there is none, of the step itself."""
    verdict = fail_undo(platform, failed, _actions(platform))
    return fail_effect(platform, failed, _actions(platform)) if verdict == "unknown" else verdict


def _is_restored(platform: str, failed: FailedUndo) -> bool:
    """Restore the workflow of the step if it was archived. Whether it was.

    Raise Unavailable if its bundle cannot be read. Of an erased workflow only the log can tell.
    """
    workflow_id = workflow_of(failed.reference or "")
    row = None if workflow_id is None else db.call(_ARCHIVED, (workflow_id,))
    if workflow_id is None or row is None:
        return False
    if row["state"] == "erased":
        log.error(
            "undo.failed_after_erasure",
            platform=platform,
            reference=failed.reference,
            external_id=failed.effect_id,
            reason=failed.reason,
        )
        return False
    restore(workflow_id, platform)
    log.warning("archive.restored", workflow=str(workflow_id), because="undo_failed_later")
    return True


_ARCHIVED = """
SELECT state FROM archived
 WHERE workflow_id = %s AND state IN ('archived', 'erased')
"""


@lru_cache(maxsize=64)
def _actions(platform: str) -> list[str]:
    return sorted(name for name, each in actions().items() if each.platform == platform)


@lru_cache(maxsize=64)
def _traced(platform: str) -> list[str]:
    return [name for name in _actions(platform) if actions()[name].is_traced]
