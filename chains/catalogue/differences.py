"""The difference between two versions of a definition, as a text and as lists of nodes. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from app.keys import body_prefix
from chains.language.definition import Definition, Loop, Map
from chains.language.tree import Found, key_of, nodes

_MOST_LINES = 3000
_INNER = frozenset({"do", "sequence", "branches", "otherwise"})


@dataclass(frozen=True)
class Changed:
    """A node that is in both versions, and its fields that differ."""

    key: str
    fields: list[str]


@dataclass(frozen=True)
class Difference:
    """A unified diff of the canonical JSON (`text`), and the keys of the nodes that differ.

    `others` lists the fields of the definition itself that differ.
    """

    text: str
    added: list[str]
    removed: list[str]
    changed: list[Changed]
    others: list[str]


def difference(old: Definition, new: Definition, labels: tuple[str, str]) -> Difference:
    """The difference from `old` to `new`; `labels` are the names of the two in the unified diff."""
    before, after = _by_key(old), _by_key(new)
    both = [key for key in after if key in before]
    changed = [Changed(key, _differing(before[key], after[key])) for key in both]
    return Difference(
        text="\n".join(unified_lines(_canonical(old), _canonical(new), labels)),
        added=[key for key in after if key not in before],
        removed=[key for key in before if key not in after],
        changed=[each for each in changed if each.fields],
        others=_differing(_own(old.body()), _own(new.body())),
    )


def unified_lines(before: list[str], after: list[str], labels: tuple[str, str]) -> Iterator[str]:
    """The lines of a unified diff of two texts; `labels` are their names. None if they are equal.

    The diff of a long text is a single hunk, from the first line that differs to the last.
    """
    if max(len(before), len(after)) <= _MOST_LINES:
        # Only for short texts, because unified_diff takes quadratic time in the worst case.
        yield from unified_diff(before, after, *labels, n=3, lineterm="")
    elif before != after:
        shorter = min(len(before), len(after))
        head = next((n for n in range(shorter) if before[n] != after[n]), shorter)
        left = shorter - head
        tail = next((n for n in range(left) if before[-1 - n] != after[-1 - n]), left)
        old, new = before[head : len(before) - tail], after[head : len(after) - tail]
        yield from (f"--- {labels[0]}", f"+++ {labels[1]}")
        yield f"@@ -{head + 1},{len(old)} +{head + 1},{len(new)} @@"
        yield from (f"-{line}" for line in old)
        yield from (f"+{line}" for line in new)


def _canonical(definition: Definition) -> list[str]:
    body = definition.body()
    return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _by_key(definition: Definition) -> dict[str, dict[str, Any]]:
    return {key: _facts(found.node) for found in nodes(definition) if (key := _key(found))}


def _key(found: Found) -> str | None:
    """The key of a node, with the keys of the maps and loops that contain it: `swap[].render`."""
    key = key_of(found.node)
    if key is None:
        return None
    blocks = (node for node in found.around if isinstance(node, Map | Loop))
    names = (node.map if isinstance(node, Map) else node.loop for node in blocks)
    return "".join([*map(body_prefix, names), key])


def _facts(node: Any) -> dict[str, Any]:
    """A node's own fields, without the nodes inside it, which are compared separately."""
    facts: dict[str, Any] = node.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if "cases" in facts:
        facts["cases"] = [case["when"] for case in facts["cases"]]
    return _own(facts)


def _own(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in _INNER}


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    # Values are compared as JSON, because 1 == True in Python.
    def as_json(facts: dict[str, Any], name: str) -> str:
        return json.dumps(facts[name], sort_keys=True) if name in facts else ""

    return [name for name in {**before, **after} if as_json(before, name) != as_json(after, name)]
