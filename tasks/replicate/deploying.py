"""Keep a deployment at Replicate: a version of a model on hardware of its own.

A deployment has a name that is unique in the account. So what became of a call is read from the
deployment itself. The organisation that was the first to ask for the name has the deployment (see
ownership.py).
https://replicate.com/docs/topics/deployments
"""

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import (
    ActionInput,
    ActionOutput,
    CannotTell,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from app.tariffs import current
from tasks import tariffs
from tasks.replicate import ownership, pricing
from tasks.replicate.answers import time_or_none
from tasks.replicate.client import ReplicateApi, api
from tasks.replicate.finding import CLOCKS_DIFFER

_CREATE, _UPDATE = "deployments.create", "deployments.update"
_OFFLINE_SECONDS = 300.0
"""The pause between tries to delete a deployment, which must have been unused for 15 minutes."""
_DOUBT_SECONDS = 600.0
_FIRST = 1
"""The number of a deployment's first release."""
_CHANGED = ("version", "hardware", "min_instances", "max_instances")


class DeployInput(ActionInput):
    """`name` is that of the deployment, `model` is `owner/name:version`, and `hardware` a SKU of
    Replicate. `min_instances` run, and are paid, all the time; at most `max_instances` predictions
    run at the same time."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$", max_length=100)
    model: str = Field(pattern=r"^\w[\w.-]*/\w[\w.-]*:[0-9a-f]{64}$", max_length=300)
    hardware: str = Field(min_length=1, max_length=100)
    min_instances: int = Field(default=0, ge=0, le=5)
    max_instances: int = Field(default=1, ge=0, le=20)

    @model_validator(mode="after")
    def _is_range(self) -> "DeployInput":
        if self.min_instances > self.max_instances:
            raise ValueError("`min_instances` is more than `max_instances`")
        return self


@action("replicate.deploy", input=DeployInput, effect=Effect.LOOKUP)
def deploy(call: Call, given: DeployInput) -> Json:
    """Create the deployment, or change it: {deployment, release, model, version, hardware,
    min_instances, max_instances, micro_usd_per_hour}.

    Raises Permanent if it is of another model, or of another organisation, or if the model is. Any
    workflow of the organisation may change it.
    """
    replicate = api()
    name = f"{replicate.account()}/{given.name}"
    made = call.recorded(_UPDATE) or call.recorded(_CREATE)
    if made is not None:
        # What became of it since then is not this step's.
        return _shown(name, made)
    model, _, version = given.model.partition(":")
    ownership.require(call, ownership.MODEL, model)
    ownership.require(call, ownership.DEPLOYMENT, name)
    wanted = given.model_dump(exclude={"model", "name"}) | {"version": version}
    seen = replicate.deployment_or_none(name)
    if seen is not None and seen["model"] != model:
        raise Permanent(f"the deployment {name} runs {seen['model']}", code="other_model")
    ownership.claim(call, ownership.DEPLOYMENT, name)
    if seen is None:
        request = {"name": given.name, "full_name": name, "model": model, **wanted}
        seen = call.once(_CREATE, request, lambda r, _key: replicate.create_deployment(r))
    elif any(seen[each] != wanted[each] for each in _CHANGED):
        call.at(1)
        before = {each: seen[each] for each in (*_CHANGED, "number")}
        request = {"full_name": name, "before": before, **wanted}
        seen = call.once(_UPDATE, request, lambda r, _key: replicate.update_deployment(r))
    pricing.book_deployment(call, name, seen)
    return _shown(name, seen)


class Deployment(ActionOutput):
    """The full name `owner/name` of the deployment, and its release as Replicate shows it.

    `micro_usd_per_hour` is what its `min_instances` cost while they are idle; the step books a day
    of it (see `pricing.most_of_deployment`).
    """

    deployment: str
    release: int
    model: str
    version: str
    hardware: str
    min_instances: int
    max_instances: int
    micro_usd_per_hour: int


deploy.describe(
    output=Deployment,
    example={
        "name": "portraits",
        "model": f"acme/portraits:{'0' * 64}",
        "hardware": "gpu-l40s",
        "min_instances": 0,
        "max_instances": 3,
    },
)


@deploy.costs_at_most
def deploy_ceiling(given: DeployInput) -> int:
    """What the instances that always run may cost before an operator notices them."""
    return pricing.most_of_deployment(given.hardware, given.min_instances)


deploy.allowance = lambda given, _: pricing.allowance(
    deploy_ceiling(given), 3600.0, has_place=False
)


@deploy.looked_up
def find_deployment(call: Call, intent: Intent) -> LookupAnswer:
    """Read the deployment: a call has taken effect if it is as the call wanted it, and has not if
    it is as it was before. If it is otherwise, others have changed it, and that cannot be told."""
    seen = api().deployment_or_none(intent.request["full_name"])
    if seen is None or _is_older(seen, intent):
        return Never()
    is_wanted = all(seen[each] == intent.request[each] for each in _CHANGED)
    if is_wanted and (intent.operation == _UPDATE or seen["number"] == _FIRST):
        return Found(seen)
    words = f"the deployment has release {seen['number']}, which is not what was asked for"
    return CannotTell(_DOUBT_SECONDS, words)


def _is_older(seen: Json, intent: Intent) -> bool:
    """Whether the release that a deployment has is there since before the call."""
    if intent.operation == _UPDATE:
        before = intent.request["before"]
        return all(seen[each] == was for each, was in before.items())
    made_at = time_or_none(seen["created_at"])
    return made_at is not None and made_at < intent.first_sent_at - CLOCKS_DIFFER


@deploy.compensation
def restore(call: Call, undo: Undo) -> Json:
    """Delete the deployment if the step has created it, and else give it back its earlier release.

    Replicate deletes only what was offline and unused for 15 minutes, so that this may take a
    while. What another workflow or a person has changed meanwhile is left as it is.
    """
    replicate = api()
    made = [each for each in undo.intents if _may_have_effect(call, each)]
    if not made:
        return {"result": "nothing", "deployment": None}
    name = str(made[-1].request["full_name"])
    seen = replicate.deployment_or_none(name)
    if seen is None:
        return {"result": "already", "deployment": name}
    is_created = any(each.operation == _CREATE for each in made)
    before = {} if is_created else made[0].request["before"]
    if before and all(seen[each] == before[each] for each in _CHANGED):
        return {"result": "already", "deployment": name}
    if not _is_left(seen, made[-1]):
        return {"result": "changed_since", "deployment": name}
    if is_created:
        _delete(replicate, name, seen)
        return {"result": "deleted", "deployment": name}
    replicate.update_deployment({"full_name": name, **before})
    return {"result": "restored", "deployment": name}


def _is_left(seen: Json, made: Intent) -> bool:
    """Whether a deployment is as the step has left it, apart from what an earlier try to delete it
    has changed."""
    wanted = made.request
    same = all(seen[each] == wanted[each] for each in _CHANGED if each != "min_instances")
    is_idle = seen["min_instances"] == 0 != wanted["min_instances"]
    if made.resolution is None and made.operation == _CREATE:
        # With more releases, it may be a deployment that others have made.
        same = same and seen["number"] == _FIRST + is_idle
    return same and (is_idle or seen["min_instances"] == wanted["min_instances"])


def _may_have_effect(call: Call, intent: Intent) -> bool:
    """If it cannot be told whether a call took effect, the deployment is not as the call wanted it:
    then it is left as others have changed it."""
    if intent.resolution is None:
        return not isinstance(find_deployment(call, intent), Never)
    return intent.resolution == "accepted"


def _delete(replicate: ReplicateApi, name: str, seen: Json) -> None:
    if seen["min_instances"]:
        replicate.update_deployment({"full_name": name, **seen, "min_instances": 0})
    try:
        replicate.delete_deployment(name)
    except Permanent as err:
        raise Retryable(
            f"the deployment cannot be deleted yet: {err.message}",
            code="still_in_use",
            after=_OFFLINE_SECONDS,
        ) from err


def _shown(name: str, seen: Json) -> Json:
    book = tariffs.book("replicate")
    hour = book.cost(seen["hardware"], {"seconds": 3600}, current.today()).micro_usd
    return {
        "deployment": name,
        "release": seen["number"],
        **{each: seen[each] for each in ("model", *_CHANGED)},
        "micro_usd_per_hour": hour * seen["min_instances"],
    }
