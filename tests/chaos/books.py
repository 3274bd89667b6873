"""What the vendors' books say of each workflow: effects doubled, not undone, or missing. Pure.

Invariant: only the sandbox's journal is asked what happened; of ours only which workflow ended how
and when. A doubled effect that was found and taken back does not count, an undetected one does.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]

Booked = Counter[tuple[str, str]]
"""How many entries of a kind our ledger has for a payment."""

PREDICTED = (
    "predictions_succeeded", "predictions_failed", "predictions_canceled", "predictions_aborted",
)  # fmt: skip
# A prediction that ended by itself in the moment in which its workflow did is no loss.
SLACK_SECONDS = 1.0


@dataclass(frozen=True)
class Ended:
    """A workflow's status, and when it ended (None: it has not)."""

    status: str
    at: datetime | None = None


@dataclass
class Account:
    """What the vendors did for one workflow: sets of the vendors' ids."""

    authorized: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    captured: Counter[str] = field(default_factory=Counter)
    refunded: Counter[str] = field(default_factory=Counter)
    deployed: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    predicted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    files: set[str] = field(default_factory=set)
    files_deleted: set[str] = field(default_factory=set)

    def moved(self) -> tuple[Counter[str], Counter[str], Counter[str]]:
        """How often each payment was authorized, captured and refunded."""
        return Counter(self.authorized), self.captured, self.refunded

    def held(self) -> set[str]:
        """Payments that were authorized and neither cancelled nor captured."""
        return self.authorized - self.cancelled - set(self.captured)


@dataclass
class Books:
    """The journal, sorted by workflow."""

    accounts: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    predictions_ended: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By prediction: the effect that ended it, and when (seconds since the epoch)."""
    finished: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    """By the vendor's id of what a webhook tells of: workflow, step, and when it was finished."""
    strays: list[str] = field(default_factory=list)
    """Predictions that belong to no workflow's files."""

    def doubled(self) -> list[str]:
        """Paid effects made twice that nobody took back."""
        return [
            f"{workflow}: {what}"
            for workflow, account in self.accounts.items()
            for what in self._doubled(account)
        ] + self.strays

    def found(self) -> list[str]:
        """Paid effects made twice of which all but one were taken back in time."""
        return [
            f"{workflow}: {what}"
            for workflow, account in self.accounts.items()
            for what in self._found(account)
        ]

    def _found(self, account: Account) -> Iterable[str]:
        if len(account.deployed) > 1 and len(account.deployed - account.removed) == 1:
            yield f"deployments {sorted(account.deployed & account.removed)}"
        for step, made in account.predicted.items():
            canceled = {each for each in made if self._is_canceled(each)}
            if len(made) > 1 and len(made - canceled) == 1:
                yield f"predictions of {step} {sorted(canceled)}"

    def _doubled(self, account: Account) -> Iterable[str]:
        if len(account.authorized - account.cancelled) > 1:
            yield f"authorizations {sorted(account.authorized - account.cancelled)}"
        if sum(account.captured.values()) > 1:
            yield f"captures {dict(account.captured)}"
        if sum(account.refunded.values()) > sum(account.captured.values()):
            yield f"refunds {dict(account.refunded)}"
        if len(account.deployed - account.removed) > 1:
            yield f"deployments {sorted(account.deployed - account.removed)}"
        for step, made in account.predicted.items():
            kept = {each for each in made if not self._is_canceled(each)}
            if len(kept) > 1:
                yield f"predictions of {step} {sorted(kept)}"

    def not_undone(self, workflows: Mapping[str, Ended]) -> list[str]:
        """What is left of workflows that ended without success."""
        return [
            f"{workflow}: {what}"
            for workflow, ended in workflows.items()
            if ended.status not in ("succeeded", "running", "compensating", "pending")
            for what in self._left(self.accounts.get(workflow, Account()), ended)
        ]

    def _left(self, account: Account, ended: Ended) -> Iterable[str]:
        if account.held():
            yield f"money held {sorted(account.held())}"
        if sum(account.captured.values()) > sum(account.refunded.values()):
            yield f"money taken {sorted(account.captured)}"
        if account.deployed - account.removed:
            yield f"pages {sorted(account.deployed - account.removed)}"
        if account.files - account.files_deleted:
            yield f"files {sorted(account.files - account.files_deleted)}"
        for made in account.predicted.values():
            running = sorted(each for each in made if not self._is_over(each, ended))
            if running:
                yield f"predictions not cancelled {running}"

    def _is_over(self, prediction: str, ended: Ended) -> bool:
        effect, at = self.predictions_ended.get(prediction, ("", float("inf")))
        if effect == "predictions_canceled" or ended.at is None:
            return bool(effect)
        return at <= ended.at.timestamp() + SLACK_SECONDS

    def _is_canceled(self, prediction: str) -> bool:
        return self.predictions_ended.get(prediction, ("", 0.0))[0] == "predictions_canceled"

    def misbooked(self, workflows: Mapping[str, Ended], booked: Booked) -> list[str]:
        """Where our ledger differs from what the vendor has done for the workflows that ended."""
        kinds = ("authorization", "capture", "refund")
        over = [id for id, each in workflows.items() if each.at is not None]
        found = []
        for workflow in over:
            account = self.accounts.get(workflow, Account())
            moved = dict(zip(kinds, account.moved(), strict=True))
            for kind in kinds:
                for payment, count in moved[kind].items():
                    if booked[kind, payment] != count:
                        told = f"{booked[kind, payment]} of {count} times"
                        found.append(f"{workflow}: the {kind} of {payment} is booked {told}")
        return found

    def missing(self, workflow: str, wanted: Mapping[str, int]) -> list[str]:
        """What a workflow that succeeded should have had done, and has not."""
        account = self.accounts.get(workflow, Account())
        predicted = sum(
            any(self._has_succeeded(each) for each in made) for made in account.predicted.values()
        )
        found = {
            "authorizations": len(account.authorized),
            "captures": sum(account.captured.values()) - sum(account.refunded.values()),
            "deployments": len(account.deployed - account.removed),
            "predictions": predicted,
        }
        return [
            f"{workflow}: {found[effect]} of {count} {effect}"
            for effect, count in wanted.items()
            if found[effect] < count
        ]

    def _has_succeeded(self, prediction: str) -> bool:
        return self.predictions_ended.get(prediction, ("", 0.0))[0] == "predictions_succeeded"


def read(journal: Iterable[Json]) -> Books:
    """Sort the journal's entries by the workflow that each names."""
    books = Books()
    files: dict[str, tuple[str, str]] = {}
    for entry in journal:
        match entry["vendor"]:
            case "stripe":
                _pay(books, entry)
            case "replicate":
                _predict(books, entry, files)
            case "vercel" if "meta" in entry["details"]:
                _publish(books, entry)
            case "n8n" if entry["effect"] == "notifications":
                workflow, step = _reference(entry["details"].get("reference"))
                books.finished[entry["object_id"]] = (workflow, step, entry["at"])
    return books


def _pay(books: Books, entry: Json) -> None:
    details, effect = entry["details"], entry["effect"]
    workflow = (details.get("metadata") or {}).get("workflow")
    if not workflow:
        return
    account, payment = books.accounts[workflow], details["payment_intent"]
    match effect:
        case "authorizations":
            account.authorized.add(payment)
        case "cancellations":
            account.cancelled.add(payment)
        case "captures":
            account.captured[payment] += 1
        case "refunds":
            account.refunded[payment] += 1


def _predict(books: Books, entry: Json, files: dict[str, tuple[str, str]]) -> None:
    effect, made = entry["effect"], entry["object_id"]
    if effect in ("files", "files_deleted"):
        workflow, step = _reference(entry["details"]["metadata"].get("reference"))
        files[made] = (workflow, step)
        account = books.accounts[workflow]
        (account.files if effect == "files" else account.files_deleted).add(made)
        return
    if effect != "predictions" and effect not in PREDICTED:
        return
    named = [file for each in entry["details"]["input"].values() if (file := _file_of(str(each)))]
    known = next((files[file] for file in named if file in files), None)
    if effect == "predictions":
        if known is None:
            books.strays.append(f"prediction {made} of no workflow")
        else:
            books.accounts[known[0]].predicted[known[1]].add(made)
    elif effect in PREDICTED:
        books.predictions_ended.setdefault(made, (effect, entry["at"]))
        if known is not None:
            books.finished[made] = (*known, entry["at"])


def _publish(books: Books, entry: Json) -> None:
    workflow, step = _reference(entry["details"]["meta"].get("reference"))
    account, effect = books.accounts[workflow], entry["effect"]
    if effect == "deployments":
        account.deployed.add(entry["object_id"])
    elif effect == "removals":
        account.removed.add(entry["object_id"])
    else:
        books.finished[entry["object_id"]] = (workflow, step, entry["at"])


def _reference(reference: str | None) -> tuple[str, str]:
    """Workflow and step of `<workflow>/<step>`."""
    workflow, _, step = (reference or "nobody").partition("/")
    return workflow, step


def _file_of(address: str) -> str:
    """The id in an uploaded file's address, `.../v1/files/<id>`."""
    return address.partition("/v1/files/")[2].partition("/")[0].partition("?")[0]
