"""Keep a deployment at Replicate: a version of a model on hardware of its own.

A deployment has a name that is unique in the account. So what became of a call is read from the
deployment itself.
https://replicate.com/docs/topics/deployments
"""

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable
from app.platform import (
    ActionInput,
    ActionOutput,
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
from tasks.replicate import pricing
from tasks.replicate.client import ReplicateApi, api

_CREATE, _UPDATE = "deployments.create", "deployments.update"
_OFFLINE_SECONDS = 300.0
"""The pause between tries to delete a deployment, which must have been unused for 15 minutes."""
_CHANGED = ("version", "hardware", "min_instances", "max_instances")


class DeployInput(ActionInput):
    """`name` is that of the deployment, `model` is `owner/name:version`, and `hardware` a SKU of
    Replicate. `min_instances` run, and are paid, all the time; at most `max_instances` predictions
    run at the same time."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$", max_length=100)
    model: str = Field(pattern=r"^[\w.-]+/[\w.-]+:[0-9a-f]{64}$", max_length=300)
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

    Raises Permanent if it is of another model. Any workflow may change it.
    """
    replicate = api()
    name = f"{replicate.account()}/{given.name}"
    model, _, version = given.model.partition(":")
    wanted = given.model_dump(exclude={"model", "name"}) | {"version": version}
    seen = replicate.deployment_or_none(name)
    if seen is None or call.recorded(_CREATE) is not None:
        request = {"name": given.name, "full_name": name, "model": model, **wanted}
        made = call.once(_CREATE, request, lambda r, _key: replicate.create_deployment(r))
        seen = made if seen is None else seen
    if seen["model"] != model:
        raise Permanent(f"the deployment {name} runs {seen['model']}", code="other_model")
    if call.recorded(_UPDATE) is not None or any(seen[each] != wanted[each] for each in _CHANGED):
        call.at(1)
        before = {each: seen[each] for each in _CHANGED}
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
    """Read the deployment: a call has taken effect if it is as the call wanted it."""
    seen = api().deployment_or_none(intent.request["full_name"])
    if seen is None or any(seen[each] != intent.request[each] for each in _CHANGED):
        return Never()
    return Found(seen)


@deploy.compensation
def restore(call: Call, undo: Undo) -> Json:
    """Delete the deployment if the step has created it, and else give it back its earlier release.

    Replicate deletes only what was offline and unused for 15 minutes, so that this may take a
    while. What another workflow or a person has changed meanwhile is left as it is.
    """
    replicate = api()
    made = [each for each in undo.intents if _took_effect(call, each)]
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
    if not _is_left(seen, made[-1].request):
        return {"result": "changed_since", "deployment": name}
    if is_created:
        _delete(replicate, name, seen)
        return {"result": "deleted", "deployment": name}
    replicate.update_deployment({"full_name": name, **before})
    return {"result": "restored", "deployment": name}


def _is_left(seen: Json, request: Json) -> bool:
    """Whether a deployment is as the step has left it, apart from what an earlier try to delete it
    has changed."""
    same = all(seen[each] == request[each] for each in _CHANGED if each != "min_instances")
    return same and seen["min_instances"] in (0, request["min_instances"])


def _took_effect(call: Call, intent: Intent) -> bool:
    if intent.resolution is None:
        return isinstance(find_deployment(call, intent), Found)
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
