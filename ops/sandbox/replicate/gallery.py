"""The models that the imitated Replicate has from the start: outputs of every shape.

`playalter-sandbox/face-swap` and `/face-swap-portrait` swap faces on the CPU; their inputs have
other names, and the second gives a list. `/copy`, which takes the inputs of the first, only copies.
The others need hardly any CPU: `replicate/hello-world` (a string), `/variants` (a list), `/measure`
(an object), `/words` (a stream of texts), `/thumbnail` (a data URI), `/silence` (nothing),
`/painter` (an official model, a picture) and `/style` (which can be trained).
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import PIL.Image
import PIL.ImageOps

from ops.sandbox.replicate import faceswap
from ops.sandbox.replicate.models import File, Model, PredictionFailed, Read, Schema
from ops.sandbox.store import Json

OWNER = "playalter-sandbox"
"""The account that the token belongs to."""
_PNG_HEADER_BYTES = 33
_STREAM: Json = {
    "type": "array",
    "items": {"type": "string"},
    "x-cog-array-type": "iterator",
    "x-cog-array-display": "concatenate",
}
_URI: Json = {"type": "string", "format": "uri"}


def _swap(given: Json, source: str, target: str, read: Read) -> File:
    try:
        made = faceswap.swap(read(source, given[source]), read(target, given[target]))
    except (faceswap.NoFace, ValueError) as error:
        raise PredictionFailed(str(error)) from error
    return File("out.png", _with_inputs(made.png, given))


def _with_inputs(png: bytes, given: Json) -> bytes:
    """Add the inputs as a tEXt chunk after IHDR, as programs like ComfyUI do in their pictures."""
    shown = {name: str(value)[:300] for name, value in given.items()}
    text = b"tEXtprompt\x00" + json.dumps(shown).encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return png[:_PNG_HEADER_BYTES] + chunk + png[_PNG_HEADER_BYTES:]


def _picture(given: Json, read: Read) -> PIL.Image.Image:
    try:
        with PIL.Image.open(io.BytesIO(read("image", given["image"]))) as image:
            if image.width * image.height > faceswap.MOST_PIXELS:
                raise PredictionFailed("image is too large")
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise PredictionFailed("cannot identify image file image") from error


def _png(image: PIL.Image.Image) -> bytes:
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


def _variants(given: Json, read: Read) -> list[File]:
    image = _picture(given, read)
    ways: tuple[Callable[[PIL.Image.Image], PIL.Image.Image], ...] = (
        PIL.Image.Image.copy,
        PIL.ImageOps.mirror,
        PIL.ImageOps.flip,
        PIL.ImageOps.invert,
    )
    count = int(given.get("count", 2))
    return [File(f"out-{at}.png", _png(way(image))) for at, way in enumerate(ways[:count])]


def _measure(given: Json, read: Read) -> Json:
    image = _picture(given, read)
    pixel = image.resize((1, 1)).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    colour = "#" + "".join(f"{int(part):02x}" for part in pixel)
    size = {"width": image.width, "height": image.height}
    return size | {"colour": colour, "grey": File("grey.png", _png(image.convert("L")))}


def _words(given: Json, _: Read) -> list[str]:
    words = str(given["prompt"]).split() or ["Nothing."]
    return [word if at == 0 else f" {word}" for at, word in enumerate(words)]


def _thumbnail(given: Json, read: Read) -> File:
    image = _picture(given, read)
    image.thumbnail((64, 64))
    return File("thumbnail.png", _png(image), is_inline=True)


def _silence(_given: Json, _: Read) -> None:
    return None


def _paint(seed: str, given: Json) -> File:
    colour = hashlib.sha256(f"{seed}{given['prompt']}".encode()).digest()
    image = PIL.Image.new("RGB", (64, 64), (colour[0], colour[1], colour[2]))
    return File("out-0.png", _with_inputs(_png(image), given))


def _version(name: str) -> str:
    return hashlib.sha256(f"{OWNER}/{name} 1".encode()).hexdigest()


def _own(name: str, description: str, inputs: Schema, output: Json, run: Any, **more: Any) -> Model:
    readme = f"# {name}\n\n{description}.\n"
    return Model(OWNER, name, _version(name), description, inputs, output, run, readme, **more)


def _uri(text: str) -> Json:
    return _URI | {"description": text}


_IMAGE = Schema({"image": _uri("A picture")}, ("image",))
_PROMPT = Schema({"prompt": {"type": "string", "description": "A text"}}, ("prompt",))
FACE_SWAP = _own(
    "face-swap",
    "Put the face of one photograph into another",
    Schema(
        {
            "source_image": _uri("Photograph of the face to use"),
            "target_image": _uri("Photograph to put the face into"),
        },
        ("source_image", "target_image"),
    ),
    _URI,
    lambda given, read: _swap(given, "source_image", "target_image", read),
    tags=("face-swap",),
)
PORTRAIT = _own(
    "face-swap-portrait",
    "Swap the face of a portrait",
    Schema(
        {
            "input_image": _uri("The portrait"),
            "swap_image": _uri("Photograph of the face to use"),
            "upscale": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1},
        },
        ("input_image", "swap_image"),
    ),
    {"type": "array", "items": _URI},
    lambda given, read: [_swap(given, "swap_image", "input_image", read)],
    tags=("face-swap",),
)
COPY = _own(
    "copy",
    "Give the target picture back as it is",
    FACE_SWAP.inputs,
    FACE_SWAP.output,
    lambda given, read: File("out.jpg", read("target_image", given["target_image"])),
)
HELLO_WORLD = Model(
    owner="replicate",
    name="hello-world",
    version="5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
    description="A tiny model that says hello",
    inputs=Schema(
        {"text": {"type": "string", "description": "Text to prefix with 'hello '"}}, ("text",)
    ),
    output={"type": "string"},
    run=lambda given, _: f"hello {given['text']}",
    readme="# Hello World Model\n\nA tiny model that says hello.\n",
    example=({"text": "Alice"}, "hello Alice"),
)
VARIANTS = _own(
    "variants",
    "Make up to four variants of a picture",
    Schema(
        {**_IMAGE.properties, "count": {"type": "integer", "minimum": 1, "maximum": 4}}, ("image",)
    ),
    {"type": "array", "items": _URI},
    _variants,
    tags=("image-tools",),
)
MEASURE = _own(
    "measure",
    "Measure a picture",
    _IMAGE,
    {
        "type": "object",
        "properties": {
            "width": {"type": "integer"},
            "height": {"type": "integer"},
            "colour": {"type": "string"},
            "grey": _URI,
        },
    },
    _measure,
    tags=("image-tools",),
)
WORDS = _own(
    "words",
    "Give a text back word by word",
    _PROMPT,
    _STREAM,
    _words,
    tags=("language-models",),
    example=({"prompt": "two words"}, ["two", " words"]),
)
THUMBNAIL = _own(
    "thumbnail", "Make a picture small", _IMAGE, _URI, _thumbnail, tags=("image-tools",)
)
SILENCE = _own("silence", "Give nothing", Schema({"text": {"type": "string"}}), {}, _silence)
PAINTER = _own(
    "painter",
    "Paint a picture in one colour",
    _PROMPT,
    {"type": "array", "items": _URI},
    lambda given, _: [_paint("", given)],
    is_official=True,
    tags=("text-to-image",),
)
STYLE = _own(
    "style",
    "Paint a picture in a style that was learned",
    _PROMPT,
    {"type": "array", "items": _URI},
    lambda given, _: [_paint("style", given)],
    training=Schema(
        {
            "input_images": _uri("A ZIP file of pictures"),
            "trigger_word": {"type": "string"},
            "steps": {"type": "integer", "minimum": 1, "maximum": 6000, "default": 1000},
        },
        ("input_images",),
    ),
    tags=("text-to-image", "trainable"),
)
MODELS = (
    FACE_SWAP, PORTRAIT, COPY, HELLO_WORLD, VARIANTS, MEASURE, WORDS, THUMBNAIL, SILENCE, PAINTER,
    STYLE,
)  # fmt: skip
COLLECTIONS: dict[str, tuple[str, str]] = {
    "face-swap": ("Swap faces", "Models that put a face into another picture"),
    "text-to-image": ("Generate images", "Models that make pictures from text"),
    "image-tools": ("Tools for images", "Models that measure and change pictures"),
    "language-models": ("Language models", "Models that write text"),
    "trainable": ("Train your own", "Models that can be trained on your pictures"),
}
"""By slug the name and the description; a model is in those that its tags name."""
HARDWARE = {
    "cpu": "CPU",
    "gpu-t4": "Nvidia T4 GPU",
    "gpu-l40s": "Nvidia L40S GPU",
    "gpu-l40s-2x": "2x Nvidia L40S GPU",
    "gpu-a100-large": "Nvidia A100 (80GB) GPU",
    "gpu-a100-large-2x": "2x Nvidia A100 (80GB) GPU",
    "gpu-h100": "Nvidia H100 GPU",
}
PAGES = (
    ("Getting started with predictions", "/docs/topics/predictions"),
    ("Prediction lifecycle", "/docs/topics/predictions/lifecycle"),
    ("Deployments", "/docs/topics/deployments"),
    ("Fine-tuning", "/docs/topics/fine-tuning"),
    ("Webhooks", "/docs/topics/webhooks"),
)
"""The pages of the documentation that a search finds: name and path."""
