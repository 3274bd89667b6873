"""Collections of models, and the two searches."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import Box
from ops.sandbox.replicate import paging
from ops.sandbox.replicate.gallery import COLLECTIONS, PAGES
from ops.sandbox.replicate.problems import not_found, problem
from ops.sandbox.replicate.registry import Registry
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Route, reply

_DEFAULT_LIMIT = 20


class Discovery:
    """Lists collections and finds models by words of their names, descriptions and tags."""

    def __init__(self, box: Box, registry: Registry) -> None:
        self.box, self.registry = box, registry

    def routes(self) -> Sequence[Route]:
        """Return the calls."""
        return [
            ("GET", "/v1/collections", "collections.list", self._list),
            ("GET", "/v1/collections/<slug>", "collections.get", self._get),
            ("QUERY", "/v1/models", "models.search", self._search_models),
            ("GET", "/v1/search", "search", self._search),
        ]

    def _list(self, call: Call) -> Response:
        url = f"{self.box.urls['replicate']}/v1/collections"
        return reply(paging.of_list(call.request, url, [_shown(each) for each in COLLECTIONS]))

    def _get(self, call: Call, slug: str) -> Response:
        if slug not in COLLECTIONS:
            raise not_found()
        name, description = COLLECTIONS[slug]
        models = [each for each in self.registry.public() if slug in self._tags(each)]
        full = f"## {name}\n\n{description}.\n"
        return reply(_shown(slug) | {"full_description": full, "models": models})

    def _search_models(self, call: Call) -> Response:
        query = call.request.get_data().decode("utf-8", "replace").strip()
        if not query:
            raise problem(400, "Bad request", "The search query is empty.")
        found = [_without_official(model) for _, model in self._found(query)]
        url = f"{self.box.urls['replicate']}/v1/models"
        return reply(paging.of_list(call.request, url, found))

    def _search(self, call: Call) -> Response:
        query = call.request.args["query"]
        limit = int(call.request.args.get("limit", _DEFAULT_LIMIT))
        words = _words(query)
        models = [
            {
                "model": model,
                "metadata": {
                    "generated_description": self.registry.readme(_full_name(model)) or None,
                    "tags": list(self._tags(model)),
                    "score": score,
                },
            }
            for score, model in self._found(query)[:limit]
        ]
        collections = [
            _shown(slug) | {"models": self._members(slug)}
            for slug, texts in COLLECTIONS.items()
            if _score(words, slug, *texts)
        ]
        pages = [{"name": name, "href": href} for name, href in PAGES if _score(words, name)]
        found = {"models": models, "collections": collections, "pages": pages}
        return reply({"query": query, **found})

    def _found(self, query: str) -> list[tuple[float, Json]]:
        """The public models that have a word of the query, those that have the most first."""
        words = _words(query)
        scored = [
            (
                _score(words, model["name"], model["description"] or "", *self._tags(model)),
                model,
            )
            for model in self.registry.public()
        ]
        found = [each for each in scored if each[0] > 0]
        return sorted(found, key=lambda each: -each[0])

    def _members(self, slug: str) -> list[str]:
        public = self.registry.public()
        return [_full_name(model) for model in public if slug in self._tags(model)]

    def _tags(self, model: Json) -> tuple[str, ...]:
        return self.registry.tags(_full_name(model))


def _full_name(model: Json) -> str:
    return f"{model['owner']}/{model['name']}"


def _shown(slug: str) -> Json:
    name, description = COLLECTIONS[slug]
    return {"name": name, "slug": slug, "description": description}


def _without_official(model: Json) -> Json:
    # The description of this search knows no `is_official`, and no model without a description.
    shown = {name: each for name, each in model.items() if name != "is_official"}
    return shown | {"description": model["description"] or ""}


def _words(text: str) -> set[str]:
    return set(text.lower().replace("-", " ").split())


def _score(words: set[str], *texts: str) -> float:
    """Which part of the words is in the texts."""
    known = _words(" ".join(texts))
    return round(len(words & known) / len(words), 4) if words else 0.0
