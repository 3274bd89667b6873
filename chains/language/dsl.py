"""Functions that write a definition in Python; each returns the JSON of one kind of node.

    definition("two_steps", sequence(
        step("caption", "texts.caption", {"brief": ref("input.brief")}, retry={"tries": 4}),
        map_over("swap", ref("input.photos"), step("render", "pictures.render", {...})),
    ))

An argument that is not given does not appear in the JSON. These functions check nothing. A body
written in Python is checked when it is registered, like a body sent over HTTP.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Node = dict[str, Any]
Reference = dict[str, str]


def ref(expression: str) -> Reference:
    """A reference. When the step runs, the value of the JMESPath expression replaces it.

    >>> ref("input.photos")
    {'$': 'input.photos'}
    """
    return {"$": expression}


def definition(name: str, do: Node, /, **rest: Any) -> dict[str, Any]:
    """Build a complete definition from its name and root node.

    `rest`: description, input_schema, output_schema, output, timeout, on_failure, budget_usd, flow
    (see the function `flow`).
    """
    return {"name": name, **rest, "do": do}


def flow(**given: Any) -> dict[str, Any]:
    """Flow control: concurrency, share, priority, throttle, rate_limit, debounce, batch, singleton
    and depth.

    >>> flow(concurrency=[limit(2, key="input.user")], throttle={"limit": 10, "period": "1m"})
    {'concurrency': [{'limit': 2, 'key': 'input.user'}], 'throttle': {'limit': 10, 'period': '1m'}}
    """
    return given


def limit(most: int, /, **rest: Any) -> dict[str, Any]:
    """At most so many workflows at once. `rest` takes key, scope and name."""
    return {"limit": most, **rest}


def step(key: str, action: str, given: Mapping[str, Any] | None = None, /, **rest: Any) -> Node:
    """One call of an action with its input. `rest` takes when, retry, timeout, attempt_timeout,
    priority, on_failure, compensation and pivot.

    >>> step("first", "control.noop", {"n": 1}, timeout="5m")
    {'step': 'first', 'action': 'control.noop', 'with': {'n': 1}, 'timeout': '5m'}
    """
    return {"step": key, "action": action} | _with(given) | rest


def prompt(
    name: str, variables: Mapping[str, Any] | None = None, /, **which: Any
) -> dict[str, Any]:
    """A prompt in the input of a step. `which` is either a label or a version.

    >>> prompt("caption", {"brief": ref("input.brief")}, label="production")
    {'name': 'caption', 'label': 'production', 'variables': {'brief': {'$': 'input.brief'}}}
    """
    return {"name": name} | which | {"variables": dict(variables or {})}


def sequence(*nodes: Node) -> Node:
    """Nodes that run one after the other."""
    return {"sequence": list(nodes)}


def parallel(key: str, *branches: Node) -> Node:
    """Branches that run at the same time, and their join."""
    return {"parallel": key, "branches": list(branches)}


def map_over(key: str, over: Reference, do: Node, /, **rest: Any) -> Node:
    """The body, run once for each item of a list. `rest` takes max_concurrency and
    on_item_failure."""
    return {"map": key, "over": over, **rest, "do": do}


def choice(key: str, *cases: Node, otherwise: Node | None = None) -> Node:
    """A choice: the first case whose condition is true runs, or else `otherwise`."""
    rest = {} if otherwise is None else {"otherwise": otherwise}
    return {"choice": key, "cases": list(cases)} | rest


def case(when: str, do: Node) -> Node:
    """One alternative of a choice: `do` runs if the condition `when` is true."""
    return {"when": when, "do": do}


def wait(
    key: str,
    *,
    duration: str | float | Reference | None = None,
    until: str | Reference | None = None,
    event: Mapping[str, Any] | None = None,
    **rest: Any,
) -> Node:
    """A wait for a duration, until a point in time, or for an event, which is a mapping of type,
    filter and within_last. `rest` takes when, and for an event timeout and on_timeout."""
    given = {"for": duration, "until": until, "event": event} | rest
    return {"wait": key} | {name: value for name, value in given.items() if value is not None}


def approval(
    key: str,
    *,
    by: Sequence[str] | Reference | None = None,
    timeout: str | Reference | None = None,
    **rest: Any,
) -> Node:
    """A person's decision. `rest` takes signal, needed, show, remind, on_timeout, on_reject and
    when.

    >>> approval("review", timeout="7d", remind=["1d", "3d"])
    {'approval': 'review', 'timeout': '7d', 'remind': ['1d', '3d']}
    """
    people = by if by is None or isinstance(by, dict) else list(by)
    given = {"by": people, "timeout": timeout} | rest
    return {"approval": key} | {name: value for name, value in given.items() if value is not None}


def child(
    key: str,
    type: str,
    given: Mapping[str, Any] | None = None,
    /,
    *,
    awaited: bool | None = None,
    **rest: Any,
) -> Node:
    """A child: another workflow, started with the input `given`. `rest` takes version, on_stop,
    timeout, on_failure and when."""
    waiting = {} if awaited is None else {"await": awaited}
    return {"workflow": key, "type": type} | _with(given) | waiting | rest


def loop(key: str, do: Node, /, *, until: str, most: int, **rest: Any) -> Node:
    """The body `do`, repeated until the condition `until` is true, at most `most` times. `rest`
    takes on_exhausted."""
    return {"loop": key, "until": until, "max": most, **rest, "do": do}


def _with(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if given is None else {"with": dict(given)}
