"""`playalter demo`: run one face-swap campaign, from photographs to a published page, and show it.

The idempotency key and the input are written to the data folder before the campaign is started. So
if the demo is killed at any moment, the next start continues the same campaign.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.live import Live

from ops.cli.exits import FAILED, OK
from ops.cli.money.amounts import amount
from ops.cli.remote.api import TERMINAL, Api, CannotReach, Refused
from ops.cli.remote.show import Lines, dollars, headline, panel
from ops.laptop.profile import CHECKOUT, DATA_FOLDER, Ports, Profile
from ops.laptop.supervisor import Supervisor
from ops.sandbox import photos

Json = dict[str, Any]
Instance = Callable[[], AbstractContextManager[tuple[Profile, Supervisor]]]

EMAIL = "demo@example.com"
STATE = "demo.json"
TYPE = "face_swap_campaign"
_POLL_SECONDS = 0.4
_PATIENCE_SECONDS = 90.0
_STAGES = "PostgreSQL, Valkey, sandbox, migrations, web, worker, reconciler, beat, Flower"


def run(instance: Instance, *, targets: int, is_once: bool) -> int:
    """Start an instance, run one campaign to its end, and print where its results are.

    Return the exit code. Unless `is_once`, keep the services running until Ctrl-C.
    """
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    began = time.monotonic()
    with console.status(f"Starting {_STAGES} ...") as spinner, instance() as (profile, supervisor):
        spinner.stop()
        console.print(f"Up after {time.monotonic() - began:.1f} s.")
        campaign = Campaign(profile, console)
        campaign.begin(targets)
        workflow = campaign.follow(supervisor)
        code = campaign.report(workflow, is_once=is_once)
        if not is_once:
            console.print("All services keep running; Ctrl-C stops them.")
            try:
                stay(supervisor)
            except KeyboardInterrupt:
                console.print("\nStopping ...")
    if is_once:
        campaign.say_what_remains(workflow)
    return code


def stay(supervisor: Supervisor) -> None:
    """Wait until a service fails permanently, then raise ServiceFailed; never return."""
    while True:
        if supervisor.failure:
            raise supervisor.failure
        time.sleep(0.5)


def addresses(profile: Profile) -> dict[str, str]:
    """The addresses of an instance's services, with Flower's login and the sandbox's key."""
    password, key = profile.secrets["FLOWER_PASSWORD"], profile.secrets["SANDBOX_KEY"]
    return {
        "API": profile.url,
        "API docs": f"{profile.url}/openapi/swagger",
        "Flower": f"{profile.flower_url}  (user playalter, password {password})",
        "sandbox": f"{profile.sandbox_url}  (header Authorization: Bearer {key})",
    }


class Campaign:
    """The demo's campaign. Its state is kept in the data folder; its progress is printed."""

    def __init__(self, profile: Profile, console: Console) -> None:
        self._profile = profile
        self._console = console
        self._state = profile.data.read(STATE)
        self._api = Api(profile.url, self._key())

    def begin(self, targets: int) -> None:
        """Continue the campaign that has not ended, or start a new one."""
        unfinished = self._unfinished()
        if unfinished is not None:
            self._console.print("Continuing the unfinished campaign.")
            return
        if "input" not in self._state:
            given = self._upload(targets)
            # Write both before the request. If the request is sent again with the same key and
            # body, it starts no second workflow.
            self._keep(input=json.dumps(given), idempotency_key=uuid4().hex)
        started = self._api.start(
            TYPE, json.loads(self._state["input"]), self._state["idempotency_key"]
        )
        self._keep(workflow_id=started["id"])

    def follow(self, supervisor: Supervisor) -> Json:
        """Show the workflow until it ends; raises ServiceFailed or CannotReach."""
        if not self._console.is_terminal:
            lines = Lines()
            for workflow in self._polls(supervisor):
                for line in lines.changes(workflow):
                    self._console.print(line, markup=False)
            self._console.print(headline(workflow))
            return workflow
        with Live(console=self._console, auto_refresh=False) as live:
            for workflow in self._polls(supervisor):
                live.update(panel(workflow, max(6, self._console.height - 6)), refresh=True)
        return workflow

    def report(self, workflow: Json, *, is_once: bool) -> int:
        """Write the pictures and a report to files, print the results, return the exit code.

        Unless `is_once`, print the addresses of the services too.
        """
        folder = self._folder(workflow)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(workflow, indent=2) + "\n")
        output = workflow["output"] or {}
        for number, picture in enumerate(output.get("pictures") or [], start=1):
            kind = picture["content_type"].partition("/")[2]
            content = self._api.download(f"/v1/artifacts/{picture['id']}")
            (folder / f"picture-{number:02d}.{kind}").write_bytes(content)
        self._keep(workflow_id=None, input=None, idempotency_key=None)
        self._print_report(workflow, is_once=is_once)
        return OK if workflow["status"] == "succeeded" else FAILED

    def say_what_remains(self, workflow: Json) -> None:
        """Print what is there after all services have stopped, and how to look at it again."""
        data = self._profile.data.path
        self._console.print("\nAll services have stopped. These files are still there:")
        files = {**self._files(workflow), "data": data, "logs": data / "logs"}
        _print(self._console, files)
        self._console.print("To look again, start all services on the same data; then open or run:")
        page = (workflow["output"] or {}).get("page")
        up = f"{_command()} up{_options(self._profile)}"
        again = {
            "start": up,
            "page": page,
            "status": self._ask("status", workflow),
            "money": self._ask("money statement", workflow),
        }
        _print(self._console, again)

    def _print_report(self, workflow: Json, *, is_once: bool) -> None:
        output = workflow["output"] or {}
        result = {
            "caption": output.get("caption"),
            "time": _duration(workflow),
            "cost": dollars(workflow["cost_micro_usd"]),
            "earned": self._earned(workflow),
        }
        self._console.print()
        if is_once:
            _print(self._console, result)
        else:
            where = {
                **self._files(workflow),
                **addresses(self._profile),
                "API key": self._api.key,
                "watch it": self._ask("watch", workflow),
                "its money": self._ask("money statement", workflow),
            }
            _print(self._console, {"page": output.get("page"), **result, **where})
        if workflow["status"] != "succeeded":
            reason = (workflow["error"] or {}).get("message", "")
            self._console.print(f"The campaign ended as {workflow['status']}. {reason}")

    def _earned(self, workflow: Json) -> str:
        """What the campaign has earned of its customer, by the ledger, in each currency."""
        chosen = {"by": "workflow", "workflow_id": workflow["id"]}
        found = self._api.ask("GET", "money/economics", params=chosen)
        return ", ".join(
            amount(each["net"], each) for item in found["items"] for each in item["money"]
        )

    def _folder(self, workflow: Json) -> Path:
        return self._profile.data.folder("demo") / str(workflow["id"])

    def _files(self, workflow: Json) -> dict[str, object]:
        folder = self._folder(workflow)
        return {"pictures": folder, "report": folder / "report.json"}

    def _ask(self, command: str, workflow: Json) -> str:
        login = f"PLAYALTER_URL={self._api.url} PLAYALTER_API_KEY={self._api.key}"
        return f"{login} {_command()} {command} {workflow['id']}"

    def _polls(self, supervisor: Supervisor) -> "Polls":
        return Polls(self._api, self._state["workflow_id"], supervisor)

    def _unfinished(self) -> Json | None:
        workflow_id = self._state.get("workflow_id")
        if workflow_id is None:
            return None
        try:
            workflow = self._api.workflow(workflow_id)
        except Refused:
            workflow = None  # the database is new and does not know the campaign
        if workflow is None or workflow["status"] in TERMINAL:
            self._keep(workflow_id=None, input=None, idempotency_key=None)
            return None
        return workflow

    def _key(self) -> str:
        key = self._state.get("api_key")
        if key is not None:
            try:
                Api(self._profile.url, key).workflows(limit=1)
            except Refused:
                key = None
        if key is None:
            made = subprocess.run(
                [sys.executable, "-m", "ops.cli", "keys", "create", EMAIL, "--admin"],
                env=self._profile.environment(),
                cwd=CHECKOUT,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                timeout=60,
            )
            key = made.stdout.strip()
            self._keep(api_key=key)
        return key

    def _upload(self, targets: int) -> Json:
        self._console.print(f"Uploading {targets + 1} photographs ...")
        source = self._api.upload("source.png", photos.source())
        made = [self._api.upload(name, data) for name, data in photos.targets(targets)]
        return {
            "customer_email": EMAIL,
            "payment_method": "pm_card_visa",
            "price": {"amount": 4900, "currency": "eur"},
            "source": source["id"],
            "targets": [facts["id"] for facts in made],
            "brief": "A summer campaign: the same face in every picture, cheerful and warm.",
            "consent": {
                "by": "Demo Person",
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "text": "I agree that my portrait is used in this campaign.",
            },
        }

    def _keep(self, **changes: str | None) -> None:
        merged: dict[str, str | None] = {**self._state, **changes}
        self._state = {name: value for name, value in merged.items() if value is not None}
        self._profile.data.write(STATE, self._state)


class Polls:
    """Yields the workflow at every poll, for the last time after it has ended.

    If the server cannot be reached, wait up to _PATIENCE_SECONDS, because the supervisor restarts
    the server; after that, raise CannotReach. Raise ServiceFailed if a service fails permanently.
    """

    def __init__(self, api: Api, workflow_id: str, supervisor: Supervisor) -> None:
        self._api = api
        self._workflow_id = workflow_id
        self._supervisor = supervisor
        self._seen_at = time.monotonic()
        self._has_polled = False
        self._has_ended = False

    def __iter__(self) -> "Polls":
        return self

    def __next__(self) -> Json:
        while not self._has_ended:
            if self._supervisor.failure:
                raise self._supervisor.failure
            if self._has_polled:
                time.sleep(_POLL_SECONDS)
            self._has_polled = True
            try:
                workflow = self._api.workflow(self._workflow_id)
            except CannotReach:
                if time.monotonic() - self._seen_at > _PATIENCE_SECONDS:
                    raise
                continue
            self._seen_at = time.monotonic()
            self._has_ended = workflow["status"] in TERMINAL
            return workflow
        raise StopIteration


def _print(console: Console, lines: Mapping[str, object]) -> None:
    for name, value in lines.items():
        if value:
            console.print(f"{name:<10} {value}", markup=False, soft_wrap=True)


def _options(profile: Profile) -> str:
    """The options with which `playalter up` starts this instance on the same ports."""
    data = profile.data.path.resolve()
    chosen = {} if data == DATA_FOLDER else {"data": str(data)}
    for name in ("web", "flower", "sandbox"):
        port = getattr(profile.ports, name)
        if port != getattr(Ports(), name):
            chosen[f"{name}-port"] = str(port)
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in chosen.items())


def _duration(workflow: Json) -> str:
    began, ended = (
        datetime.fromisoformat(workflow[name]) for name in ("started_at", "completed_at")
    )
    return f"{(ended - began).total_seconds():.1f} s"


def _command() -> str:
    return ".venv/bin/playalter"
