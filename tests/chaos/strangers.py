"""What others do beside the customers: forks of what has succeeded, and bans that are not ours.

Invariant: no undo may take back what another workflow did, nor take a stranger's rule for its own;
the sandbox's journal shows it.
"""

import contextlib
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from random import Random
from typing import Any

import psycopg2
import requests

from tasks.agora.actions import channel_name
from tests.chaos.books import Ended
from tests.chaos.stack import Instance

Json = dict[str, Any]

PAUSE_SECONDS = 0.7
ANSWER_SECONDS = 10.0
BAN_MINUTES = 1
LONG_SECONDS = 300.0
"""Our own rules last until the host's token has expired, for hours; a stranger's for a minute."""
FORKED = {
    "chaos_paid": ("authorize", "meanwhile", "capture"),
    "chaos_approved": ("go", "capture"),
    "chaos_parent": ("payment", "end"),
    "face_swap_campaign": ("capture", "deploy"),
}
_SUCCEEDED = (
    "SELECT id::text AS id, type FROM workflows WHERE status = 'succeeded' AND parent_id IS NULL"
    " AND type = ANY (%s) ORDER BY random() LIMIT 1"
)
_OPENED = (
    "SELECT DISTINCT workflow_id::text AS id, step_key FROM intents"
    " WHERE operation = 'channels.open'"
)


class Strangers:
    """Forks and bans while the mix is submitted."""

    def __init__(self, instance: Instance, seed: int) -> None:
        self.forks = self.bans = 0
        self._stack, self._random = instance.stack, Random(f"strangers {seed}")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="strangers")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; idempotent."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE_SECONDS):
            with contextlib.suppress(psycopg2.Error, OSError):  # a busy machine answers late
                self.forks += self._fork()
                self.bans += self._ban()

    def _fork(self) -> bool:
        """Fork what has succeeded; a step at which it has no boundary is refused."""
        found = self._stack.rows(_SUCCEEDED, list(FORKED))
        if not found:
            return False
        source = found[0]
        answer = requests.post(
            f"{self._stack.profile.url}/v1/workflows/{source['id']}/fork",
            json={"from_step": self._random.choice(FORKED[source["type"]])},
            headers={"Authorization": f"Bearer {self._stack.key}"},
            timeout=ANSWER_SECONDS,
        )
        return answer.ok

    def _ban(self) -> bool:
        """Ban everybody from one of our channels for a minute."""
        opened = self._stack.rows(_OPENED)
        if not opened:
            return False
        channel = _channel(self._random.choice(opened))
        vendors = self._stack.profile.vendors()
        rule = {
            "appid": vendors["AGORA_APP_ID"],
            "cname": channel,
            "time": BAN_MINUTES,
            "privileges": ["join_channel"],
        }
        answer = requests.post(
            vendors["AGORA_BASE_URL"] + "/dev/v1/kicking-rule",
            json=rule,
            auth=(vendors["AGORA_CUSTOMER_ID"], vendors["AGORA_CUSTOMER_SECRET"]),
            timeout=ANSWER_SECONDS,
        )
        return answer.ok

    def opened(self) -> dict[str, str]:
        """The channels that were opened, each with its workflow."""
        return {_channel(row): row["id"] for row in self._stack.rows(_OPENED)}


def _channel(row: Json) -> str:
    return channel_name(f"{row['id']}/{row['step_key']}")


def unexplained(
    journal: Iterable[Json], workflows: Mapping[str, Ended], opened: Mapping[str, str]
) -> list[str]:
    """Refunds and bans that no undone workflow of its own explains, and bans that are missing.

    `opened` has the workflow of each channel. Pure.
    """
    found, closed = [], set()
    for entry in journal:
        if entry["effect"] == "refunds":
            found += _refund_of_another(entry["details"], workflows)
        elif entry["effect"] == "kicking_rules" and _seconds(entry) > LONG_SECONDS:
            closed.add(entry["details"]["cname"])
    for channel in sorted(closed | set(opened)):
        workflow = opened.get(channel, "nobody")
        is_over = workflow in workflows and workflows[workflow].at is not None
        if channel in closed and not _is_undone(workflow, workflows):
            found.append(f"{workflow}: its channel {channel} was closed")
        if channel not in closed and is_over and _is_undone(workflow, workflows):
            found.append(f"{workflow}: its channel {channel} was left open")
    return found


def _refund_of_another(details: Json, workflows: Mapping[str, Ended]) -> list[str]:
    marks = details.get("metadata") or {}
    workflow, taker = marks.get("workflow"), str(marks.get("captured_by")).partition("/")[0]
    if workflow == taker and _is_undone(taker, workflows):
        return []
    return [f"{workflow}: refund of {details['payment_intent']}, which {taker} has taken"]


def _is_undone(workflow: str, workflows: Mapping[str, Ended]) -> bool:
    ended = workflows.get(workflow)
    return ended is not None and ended.status in ("compensated", "compensating")


def _seconds(rule: Json) -> float:
    """How long a rule was made for."""
    ends: float = datetime.fromisoformat(rule["details"]["ts"]).timestamp()
    return ends - float(rule["at"])
