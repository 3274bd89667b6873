"""How batches go on: validated, carried out, completed; or failed, expired, cancelled.

Invariant: what a line has done, its answer and the progress of its batch are recorded in one
transaction, so that no line is carried out twice, also after a kill. A step holds the store for a
few milliseconds, whatever a batch has; the times that it notes are those of the plan, however late
it comes.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from ops.sandbox import clock
from ops.sandbox.openai.batches import answers, lines
from ops.sandbox.openai.batches.plan import Plan
from ops.sandbox.openai.batches.work import Work
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.files.shelf import Shelf
from ops.sandbox.openai.hooks.events import Hooks
from ops.sandbox.openai.models.catalogue import ENDS, has_ended
from ops.sandbox.store import Json

KIND, QUEUE = "openai_batch", "openai.batch"
ACTIVE = ("validating", "in_progress", "finalizing", "cancelling")
GROUP, SLICE_SECONDS = 20, 0.2
_NEARLY = 0.001


class Runs:
    """Moves batches on when their time comes."""

    def __init__(self, desk: Desk, shelf: Shelf, hooks: Hooks, work: Work) -> None:
        self._desk, self._store = desk, desk.store
        self._shelf, self._hooks, self._work = shelf, hooks, work
        self._ordered = lru_cache(maxsize=2)(self._in_order)
        self._steps: dict[str, Callable[[Json, float], bool]] = {
            "validating": self._validate,
            "in_progress": self._carry_out,
            "finalizing": self._complete,
            "cancelling": self._cancel,
        }
        desk.box.timers.register(QUEUE, KIND, self._run, is_heavy=True, is_virtual=True)

    def put(self, batch: Json, due: float | None) -> None:
        """Keep a batch, to be looked at again at this time; call this in a transaction.

        What is late comes after what is due already, so that batches take turns with others.
        """
        at = None if due is None else max(time.time(), due - clock.ahead(self._store))
        self._store.put(KIND, batch["id"], batch, None if due is None else QUEUE, at)

    def _run(self, batch_id: str) -> None:
        """Move a batch on for a moment; what is left to do is still due, after the others."""
        until = time.monotonic() + SLICE_SECONDS
        while self._step(batch_id) and time.monotonic() < until:
            pass

    def _step(self, batch_id: str) -> bool:
        """Do what is due next; return whether something was done."""
        row = self._store.get(KIND, batch_id)
        if row is None or row.body["status"] not in self._steps:
            return False
        now = clock.now(self._store) + _NEARLY
        return self._steps[row.body["status"]](row.body, now)

    def _fresh(self, batch: Json) -> bool:
        """Whether a batch is still as it was read: looked at in the transaction of a change."""
        row = self._store.get(KIND, batch["id"])
        return row is not None and row.body == batch

    def _validate(self, batch: Json, now: float) -> bool:
        plan = Plan.of(batch)
        if now < plan.started:
            return False
        data = self._shelf.read(batch["input_file_id"])
        found = self._found(batch, data)
        with self._store.transaction():
            if not self._fresh(batch):
                return True
            errors = list(found.errors) or self._over_quota(found)
            if errors:
                batch["errors"] = {"object": "list", "data": errors}
                self._close(batch, "failed", plan.started)
                return True
            self._store.write_blob(_blob(batch, "in"), data or b"")
            total = len(found.lines)
            batch |= {
                "status": "in_progress",
                "in_progress_at": int(plan.started),
                "model": found.model,
                "request_counts": {"total": total, "completed": 0, "failed": 0},
            }
            batch["sandbox"] |= {"tokens": found.tokens, "done": 0, "sizes": {"out": 0, "err": 0}}
            self.put(batch, plan.next_at(0, total))
        return True

    def _found(self, batch: Json, data: bytes | None) -> lines.Found:
        if data is None:
            words = f"Cannot find file {batch['input_file_id']}."
            return lines.Found(errors=[lines.failing("invalid_request", words, "input_file_id")])
        found = lines.found_in(data, batch["endpoint"])
        name = found.model
        if name is not None and (name not in ENDS or has_ended(self._desk.box, name)):
            words = f"The provided model '{name}' is not supported by the Batch API."
            return lines.Found(errors=[lines.failing("model_not_found", words, "body.model")])
        return found

    def _over_quota(self, found: lines.Found) -> list[Json]:
        """The error of a batch for which its model has too many tokens in the queue already."""
        limit = self._desk.settings.number("openai.enqueued_tokens")
        others = [row.body for row in self._store.query(KIND, "queue IS NOT NULL")]
        queued = sum(
            each["sandbox"].get("tokens", 0)
            for each in others
            if each["status"] in ACTIVE and each["model"] == found.model
        )
        if not limit or queued + found.tokens <= limit:
            return []
        words = (
            f"Enqueued token limit reached for {found.model} in organization playalter-sandbox. "
            f"Limit: {limit:,.0f} enqueued tokens. Please try again once some in_progress batches "
            "have been completed."
        )
        return [lines.failing("token_limit_exceeded", words)]

    def _carry_out(self, batch: Json, now: float) -> bool:
        plan, total = Plan.of(batch), batch["request_counts"]["total"]
        if self._work_off(batch, plan, min(now, plan.expires)):
            return True
        if batch["sandbox"]["done"] == total:
            ended = plan.done_at(total, total)
            with self._store.transaction():
                if self._fresh(batch):
                    batch |= {"status": "finalizing", "finalizing_at": int(ended)}
                    batch["sandbox"]["finalizing"] = ended
                    self.put(batch, ended + plan.finalizing)
            return True
        if now >= plan.expires:
            self._finish(batch, "expired", plan.expires)
            return True
        return False

    def _complete(self, batch: Json, now: float) -> bool:
        ended = batch["sandbox"]["finalizing"] + Plan.of(batch).finalizing
        if now < ended:
            return False
        self._finish(batch, "completed", ended)
        return True

    def _cancel(self, batch: Json, now: float) -> bool:
        plan, asked = Plan.of(batch), batch["sandbox"]["cancelling"]
        if now < asked + plan.cancelling:
            return False
        if self._work_off(batch, plan, min(asked, plan.expires)):
            return True
        self._finish(batch, "cancelled", asked + plan.cancelling)
        return True

    def _work_off(self, batch: Json, plan: Plan, until: float) -> bool:
        """Carry out some of the lines that are to be done by a time; whether there were any."""
        total, notes = batch["request_counts"]["total"], batch["sandbox"]
        done, wanted = notes.get("done", 0), plan.done_by(until, total)
        if done >= wanted:
            return False
        group = self._ordered(batch["id"])[done : min(wanted, done + GROUP)]
        url = batch["endpoint"]
        begun = [(each, self._work.prepare(url, each.custom_id, each.body)) for each in group]
        with self._store.transaction():
            if not self._fresh(batch):
                return True
            texts = {"out": "", "err": ""}
            for line, end in begun:
                status, body = end()
                is_done = 200 <= status < 300
                texts["out" if is_done else "err"] += answers.answered(line.custom_id, status, body)
                batch["request_counts"]["completed" if is_done else "failed"] += 1
                if is_done:
                    answers.add_usage(batch["usage"], body)
            for name, text in texts.items():
                self._append(batch, name, text)
            notes["done"] = done + len(group)
            self.put(batch, self._next(batch, plan))
        return True

    def _next(self, batch: Json, plan: Plan) -> float:
        if batch["status"] == "cancelling":
            return float(batch["sandbox"]["cancelling"] + plan.cancelling)
        return plan.next_at(batch["sandbox"]["done"], batch["request_counts"]["total"])

    def _finish(self, batch: Json, status: str, at: float) -> None:
        """End a batch: what it has not come to is in its error file, and its files are there."""
        total, notes = batch["request_counts"]["total"], batch["sandbox"]
        rest = self._ordered(batch["id"])[notes["done"] :] if notes.get("done", 0) < total else ()
        with self._store.transaction():
            if not self._fresh(batch):
                return
            if total:
                self._append(batch, "err", "".join(answers.left(r.custom_id, status) for r in rest))
                batch["output_file_id"] = self._filed(batch, "out", "output", at)
                batch["error_file_id"] = self._filed(batch, "err", "error", at)
                self._store.delete_blob(_blob(batch, "in"))
            self._close(batch, status, at)

    def _append(self, batch: Json, name: str, text: str) -> None:
        data, sizes = text.encode(), batch["sandbox"]["sizes"]
        if data:
            self._store.append_blob(_blob(batch, name), sizes[name], data)
            sizes[name] += len(data)

    def _filed(self, batch: Json, name: str, what: str, at: float) -> str | None:
        """Make a file of the lines that were kept; return its id, or None if there are none."""
        size = batch["sandbox"]["sizes"][name]
        data = (self._store.read_blob(_blob(batch, name)) or b"")[:size] if size else b""
        self._store.delete_blob(_blob(batch, name))
        if not data:
            return None
        seconds = batch["sandbox"]["output_seconds"]
        file = self._shelf.put(f"{batch['id']}_{what}.jsonl", "batch_output", data, seconds, at)
        return str(file["id"])

    def _close(self, batch: Json, status: str, at: float) -> None:
        batch |= {"status": status, f"{status}_at": int(at)}
        self.put(batch, None)
        details = {"endpoint": batch["endpoint"], "model": batch["model"]}
        counts = batch["request_counts"]
        self._store.journal(
            "openai", "batches.run", f"batches_{status}", batch["id"], None, details | counts
        )
        self._hooks.send(f"batch.{status}", batch["id"], at)

    def _in_order(self, batch_id: str) -> Sequence[lines.Line]:
        """The lines in the order in which they are done, which the seed and the file determine."""
        data = self._store.read_blob(f"openai-{batch_id}-in") or b""
        found = lines.parsed(data)
        name = hashlib.sha256(data).hexdigest()
        random.Random(f"{self._desk.box.seed}:{name}").shuffle(found)
        return found


def public(batch: Json) -> Json:
    """Return a batch without the sandbox's own notes."""
    return {name: value for name, value in batch.items() if name != "sandbox"}


def _blob(batch: Json, name: str) -> str:
    return f"openai-{batch['id']}-{name}"
