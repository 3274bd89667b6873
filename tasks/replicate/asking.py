"""Makes the request of a step's prediction: its model, its version, its files and its lifetime.

Invariant: a version that the step does not name is chosen once and recorded with the request, so
that a new version of the model changes no step that has begun.
"""

from dataclasses import dataclass

from pydantic import Field, JsonValue, model_validator

from app.engine.call import Call
from app.errors import Permanent
from app.platform import Intent, Json
from app.protocol import intents
from tasks import tariffs
from tasks.replicate import finding, ownership
from tasks.replicate.answers import Model
from tasks.replicate.client import ReplicateApi
from tasks.replicate.failover.alternatives import NAME, Alternative
from tasks.replicate.settings import ReplicateSettings
from tasks.reuse import Reusable

_FILES = 20
FILE_SECONDS = 43_200.0
"""For how long an uploaded file is used: half the day after which Replicate deletes it, as the
prediction may have to wait for its start."""
Artifact = str | list[str]


class PredictInput(Reusable):
    """A face swap (`source` and `target`), or any model (`input` and `files`).

    For a face swap the face of artifact `source` is put into artifact `target`; both are ids.
    `input` goes to the model as it is; `files` gives those of its inputs that are artifacts, by the
    input's name: an id, or a list of ids.

    `model` is `owner/name` or `owner/name:version`; without a version, a model that is not official
    runs in its latest one. `deployment` is the `owner/name` of a deployment. Without both, a face
    swap uses the configured model. `models` are several that do the same job, of which the next is
    run if one cannot be or does not work.
    """

    source: str | None = Field(default=None, min_length=1, max_length=64)
    target: str | None = Field(default=None, min_length=1, max_length=64)
    model: str | None = Field(default=None, pattern=rf"{NAME}(:\w+)?$", max_length=200)
    deployment: str | None = Field(default=None, pattern=rf"{NAME}$", max_length=200)
    input: dict[str, JsonValue] | None = Field(default=None, max_length=200)
    files: dict[str, Artifact] | None = Field(default=None, max_length=_FILES)
    models: list[Alternative] | None = Field(default=None, min_length=1, max_length=10)

    @property
    def is_swap(self) -> bool:
        """Whether a face is swapped."""
        return self.source is not None

    @model_validator(mode="after")
    def _names_each_once(self) -> "PredictInput":
        if self.models is not None and (self.model or self.deployment):
            raise ValueError("give `models`, or one `model` or `deployment`")
        if len({each.name for each in self.models or ()}) < len(self.models or ()):
            raise ValueError("`models` has a model twice")
        return self

    @model_validator(mode="after")
    def _is_whole(self) -> "PredictInput":
        if (self.source is None) != (self.target is None):
            raise ValueError("a face swap needs `source` and `target`")
        if self.is_swap and (self.input is not None or self.files is not None):
            raise ValueError("a face swap has `source` and `target`, and no `input` and `files`")
        if self.model is not None and self.deployment is not None:
            raise ValueError("give `model` or `deployment`, not both")
        if self.is_swap:
            return self
        if self.input is None and self.files is None:
            raise ValueError("give `source` and `target`, or the model's `input` or `files`")
        if self.model is None and self.deployment is None and self.models is None:
            raise ValueError("without a face swap, give `model`, `deployment` or `models`")
        if set(self.input or ()) & set(self.files or ()):
            raise ValueError("an input is either in `input` or in `files`")
        if sum(len(_ids(each)) for each in (self.files or {}).values()) > _FILES:
            raise ValueError(f"a prediction takes at most {_FILES} files")
        return self


@dataclass(frozen=True)
class Target:
    """What runs a prediction: a version, an official model or a deployment.

    `hardware` is that of a deployment; empty for others.
    """

    model: Model
    name: str
    request: Json
    hardware: str = ""


def model_name(chosen: str | None) -> str:
    """The model that a step uses, if it has chosen this one or none."""
    return chosen or ReplicateSettings.current().face_swap_model


def target(given: PredictInput, replicate: ReplicateApi, one: Alternative | None = None) -> Target:
    """What runs the step's prediction, or that of one of its models, as Replicate says it now."""
    chosen = one or given
    if chosen.deployment is not None:
        runs = replicate.deployment(chosen.deployment)
        name = f"{runs['model']}:{runs['version']}"
        request = {"deployment": chosen.deployment, "version": runs["version"]}
        return Target(replicate.model(name), name, request, runs["hardware"])
    name = model_name(chosen.model)
    model = replicate.model(name)
    if model.is_official:
        return Target(model, name, {"official": name})
    pinned = f"{name.partition(':')[0]}:{model.version}"
    return Target(model, pinned, {"version": model.version})


def start(call: Call, given: PredictInput, replicate: ReplicateApi) -> str:
    """Upload the step's files, create its prediction, and return the prediction's id.

    Raises Permanent if another organisation has the deployment or the model.
    """
    made = call.recorded(finding.CREATE)
    if made is not None:
        # What runs it may be gone by now.
        return str(made["id"])
    if given.deployment is None:
        _require_alive(call, model_name(given.model))
    require_own(call, given)
    runs = target(given, replicate)
    # The latest version of a model may end before the model.
    _require_alive(call, runs.name)
    names = names_of(runs, given)
    _begin(call, given)
    files = uploads(call, given, replicate)
    own = {names.get(role, role): urls for role, urls in files.items()}
    request = request_of(call, given, runs, {**(given.input or {}), **own})
    made = call.once(finding.CREATE, request, lambda r, _key: replicate.create_prediction(r))
    return str(made["id"])


def request_of(call: Call, given: PredictInput, runs: Target, inputs: Json) -> Json:
    """The request for a prediction with these inputs."""
    request = {
        **runs.request,
        "input": inputs,
        "webhook": finding.hook_url(call),
        # The event `start` wakes no step. It shows that a prediction is an orphan before the
        # prediction has cost much.
        "webhook_events_filter": ["start", "completed"],
        "cancel_after": finding.lifetime(call),
        "is_marked": not any(_ids(each) for each in roles(given).values()),
        "is_text": runs.model.is_text,
    }
    return request | {"hardware": runs.hardware} if runs.hardware else request


def require_own(call: Call, given: PredictInput | Alternative) -> None:
    """Raise Permanent if another organisation has the deployment or the model that is named."""
    if given.deployment is not None:
        ownership.require(call, ownership.DEPLOYMENT, given.deployment)
    elif given.model is not None:
        ownership.require(call, ownership.MODEL, given.model.partition(":")[0])


def _begin(call: Call, given: PredictInput) -> None:
    """Go on where the step is: in the round of its files and its prediction that is the newest.

    If the step was held until its files have expired, a new round begins, with calls of its own.
    """
    count = sum(len(_ids(each)) for each in roles(given).values())
    if not count:
        return
    call.record_held()
    known = [
        each
        for each in intents.intents(call.workflow_id, call.step_key)
        if each.generation == call.generation and each.resolution in (None, "accepted")
    ]
    newest = max((each.ordinal for each in known), default=0) // (count + 1)
    uploads = [
        each
        for each in known
        if each.operation != finding.CREATE and each.ordinal // (count + 1) == newest
    ]
    call.at((newest + _is_over(call, known, uploads)) * (count + 1))


def _is_over(call: Call, known: list[Intent], uploads: list[Intent]) -> bool:
    """Whether the round of these uploads cannot go on; a prediction that may have been made of them
    is looked up instead."""
    if not uploads or any(each.operation == finding.CREATE for each in known):
        return False
    return call.age_seconds(min(uploads, key=lambda each: each.first_sent_at)) > FILE_SECONDS


def roles(given: PredictInput) -> dict[str, Artifact]:
    """The artifacts of a step by the name of their role: `source` and `target`, or the names of the
    model's inputs, always in the same order."""
    if given.source is not None and given.target is not None:
        return {"source": given.source, "target": given.target}
    return dict(sorted((given.files or {}).items()))


def uploads(call: Call, given: PredictInput, replicate: ReplicateApi) -> Json:
    """Upload the files of the step: the address of each, or a list of them, by its role."""
    found: Json = {}
    for role, artifacts in roles(given).items():
        urls = [
            _upload(call, replicate, f"{role}-{at}" if at else role, each)
            for at, each in enumerate(_ids(artifacts))
        ]
        found[role] = urls if isinstance(artifacts, list) else urls[0]
    return found


def names_of(runs: Target, given: PredictInput, one: Alternative | None = None) -> dict[str, str]:
    """What the model calls the two pictures of a face swap; nothing for another step.

    Raises Permanent `model_unsuitable` if it has no such inputs, and `one` of the step's models
    does not say what they are called.
    """
    if not given.is_swap:
        return {}
    names = {"source": runs.model.source_input, "target": runs.model.target_input}
    if not all(names[role] or (one and one.rename.get(role)) for role in names):
        raise Permanent(
            f"the model {runs.name} has no inputs for a source picture and a target picture",
            code="model_unsuitable",
        )
    return {role: name for role, name in names.items() if name}


def _ids(artifacts: Artifact) -> list[str]:
    return artifacts if isinstance(artifacts, list) else [artifacts]


def _upload(call: Call, replicate: ReplicateApi, role: str, artifact: str) -> str:
    # With the generation in it, the lookup does not take a file of an earlier generation, which may
    # be another photograph, for this one.
    metadata = {"reference": call.reference, "role": role, "generation": str(call.generation)}
    request = {"artifact": artifact, "metadata": metadata}
    made = call.once(
        f"files.create#{role}", request, lambda r, _key: finding.upload(call, replicate, r)
    )
    return str(made["url"])


def _require_alive(call: Call, model: str) -> None:
    where = "the step's `model`, or REPLICATE_FACE_SWAP_MODEL"
    tariffs.require_alive(call, "replicate", model, operation=finding.CREATE, setting=where)
