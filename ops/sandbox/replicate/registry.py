"""The models and versions that exist: those of the gallery, and those that the account has made.

A model that the account creates has no version until a training makes one. Such a version runs as
the version that was trained.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ops.sandbox.replicate.gallery import MODELS
from ops.sandbox.replicate.models import Model
from ops.sandbox.store import Json, Row, Store

MODEL, VERSION, _RUNS = "replicate_model", "replicate_version", "replicate_runs"
_GALLERY = {each.full_name: each for each in MODELS}
_VERSIONS = {each.version: each for each in MODELS}


class Registry:
    """Finds models by their names and versions by their ids."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def model(self, owner: str, name: str) -> Json | None:
        """Return the model as Replicate shows it, or None."""
        full_name = f"{owner}/{name}"
        if full_name in _GALLERY:
            return self._counted(_GALLERY[full_name].model_object())
        row = self.stored(full_name)
        return self._counted(self._shown(row)) if row else None

    def stored(self, full_name: str) -> Row | None:
        """Return the row of a model that the account has created, or None."""
        return self._store.get(MODEL, full_name)

    def public(self) -> list[Json]:
        """Return all public models, the newest first."""
        made = [self._shown(row) for row in self._store.query(MODEL)]
        shown = [each for each in made if each["visibility"] == "public"]
        return [self._counted(each) for each in shown + [m.model_object() for m in MODELS]]

    def versions(self, full_name: str) -> list[Json]:
        """Return the versions of a model, the newest first."""
        if full_name in _GALLERY:
            return [_GALLERY[full_name].version_object()]
        return [
            made.version_object()
            for row in self._trained(full_name)
            if (made := self._of_row(row)) is not None
        ]

    def version(self, version: str, full_name: str = "") -> Model | None:
        """Return a version by its id, or None; with a name only if it is of this model."""
        found = _VERSIONS.get(version)
        if found is None:
            row = self._store.get(VERSION, version)
            found = self._of_row(row) if row else None
        return found if found and full_name in ("", found.full_name) else None

    def named(self, name: str) -> Model | None:
        """Return what `id`, `owner/name:id` or, of an official model, `owner/name` names."""
        full_name, colon, version = name.rpartition(":")
        if colon:
            return self.version(version, full_name) if full_name else None
        return self.version(name) or self.official(name)

    def official(self, full_name: str) -> Model | None:
        """Return an official model, or None."""
        found = _GALLERY.get(full_name)
        return found if found and found.is_official else None

    def examples(self, full_name: str) -> list[Json]:
        """Return the predictions that show what a model does."""
        model = _GALLERY.get(full_name)
        example = model.example_object() if model else None
        return [example] if example else []

    def readme(self, full_name: str) -> str:
        """Return a model's README; empty if it has none."""
        if full_name in _GALLERY:
            return _GALLERY[full_name].readme
        row = self.stored(full_name)
        return str(row.body["sandbox"].get("readme", "")) if row else ""

    def tags(self, full_name: str) -> tuple[str, ...]:
        """Return what a model is good for."""
        model = _GALLERY.get(full_name)
        return model.tags if model else ()

    def add_version(self, version: str, full_name: str, base: str, created_at: str) -> None:
        """Store a version that a training has made of another one."""
        body = {"model": full_name, "base": base, "created_at": created_at}
        self._store.put(VERSION, version, body)

    def is_base(self, version: str) -> bool:
        """Whether a version was trained, or is being trained."""
        where = "json_extract(body, '$.version') = ?"
        return bool(self._store.query("training", where, (version,), 1))

    def count_run(self, full_name: str) -> None:
        """Count one more run of a model."""
        self._store.put(_RUNS, full_name, {"count": self._runs(full_name) + 1})

    def _runs(self, full_name: str) -> int:
        row = self._store.get(_RUNS, full_name)
        return int(row.body["count"]) if row else 0

    def _counted(self, shown: Json) -> Json:
        full_name = f"{shown['owner']}/{shown['name']}"
        return shown | {"run_count": self._runs(full_name)}

    def _shown(self, row: Row) -> Json:
        versions = self.versions(row.id)
        latest: dict[str, Any] = {"latest_version": versions[0] if versions else None}
        return {name: each for name, each in row.body.items() if name != "sandbox"} | latest

    def _trained(self, full_name: str) -> list[Row]:
        where = "json_extract(body, '$.model') = ?"
        return self._store.query(VERSION, where, (full_name,))

    def _of_row(self, row: Row) -> Model | None:
        base = _VERSIONS.get(row.body["base"])
        if base is None:
            return None
        owner, _, name = str(row.body["model"]).partition("/")
        return replace(
            base,
            owner=owner,
            name=name,
            version=row.id,
            created_at=row.body["created_at"],
            is_official=False,
            training=None,
            example=None,
            tags=(),
        )
