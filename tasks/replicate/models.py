"""The models that swap faces: their versions, and the names of their inputs."""

from dataclasses import dataclass

from app.errors import Permanent
from app.outbound import http
from app.platform import Json

# The names that face-swap models use for the picture that is changed, and for the picture whose
# face is put into it.
_TARGET_INPUTS = ("target_image", "input_image", "target")
_SOURCE_INPUTS = ("swap_image", "source_image", "face_image", "source")


@dataclass(frozen=True)
class Model:
    """A version of a model, and the names of its two picture inputs."""

    version: str
    source_input: str
    target_input: str


def model_of(name: str, seen: Json, *, is_latest: bool) -> Model:
    """What Replicate's answer says of a model, or of a version of it if not `is_latest`.

    https://replicate.com/docs/reference/http#models.get

    Raises Permanent `model_unsuitable` if the model does not take two pictures.
    """
    version = (seen.get("latest_version") or {}) if is_latest else seen
    schemas = ((version.get("openapi_schema") or {}).get("components") or {}).get("schemas")
    inputs = ((schemas or {}).get("Input") or {}).get("properties") or {}
    source = next((each for each in _SOURCE_INPUTS if each in inputs), None)
    target = next((each for each in _TARGET_INPUTS if each in inputs), None)
    if source is None or target is None:
        raise Permanent(
            f"the model {name} has no inputs for a source picture and a target picture",
            code="model_unsuitable",
        )
    return Model(http.text_at(version, "id"), source, target)
