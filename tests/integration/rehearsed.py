"""Definitions of every kind, with all ways to end, that run in a rehearsal as in the engine."""

from dataclasses import dataclass, field
from typing import Any

from app.platform import Json
from tests.unit.definitions import noop

UNDONE = {"compensation": {"action": "control.noop", "with": {"undone": True}}}


def fail(key: str, **rest: Any) -> Json:
    return {"step": key, "action": "control.fail", **rest}


def paid(key: str, **given: Any) -> Json:
    """A step with something to undo, by another action."""
    return {**noop(key, **given), **UNDONE}


def seq(*nodes: Json) -> Json:
    return {"sequence": list(nodes)}


def both(key: str, *branches: Json) -> Json:
    return {"parallel": key, "branches": list(branches)}


def mapped(key: str, do: Json, **rest: Any) -> Json:
    return {"map": key, "over": {"$": "input.items"}, "do": do, **rest}


@dataclass(frozen=True)
class Case:
    """One definition, its input, its children, and the signals and events it finds."""

    do: Json
    input: Json = field(default_factory=dict)
    rest: Json = field(default_factory=dict)
    children: dict[str, Json] = field(default_factory=dict)
    signals: tuple[tuple[str, Json], ...] = ()
    events: tuple[Json, ...] = ()


CHOICE = {
    "choice": "c",
    "cases": [
        {"when": "input.tier == 'gold'", "do": paid("gift", sent=True)},
        {"when": "input.tier == 'silver'", "do": both("b", noop("x"), seq(noop("y"), noop("z")))},
    ],
    "otherwise": noop("nothing", said="sorry"),
}
LOOP = {
    "loop": "again",
    "max": 4,
    "until": "steps.check.output.n == input.wanted",
    "do": seq(paid("work"), noop("check", n={"$": "index"})),
}
INNER_MAP = mapped(
    "inner",
    {
        "choice": "c",
        "cases": [{"when": "item > `1`", "do": paid("big", v={"$": "item"})}],
        "otherwise": {"loop": "deep", "max": 1, "until": "`true`", "do": noop("small")},
    },
    max_concurrency=1,
)
NESTED = both(
    "p", {"loop": "turns", "max": 3, "until": "index == `1`", "do": INNER_MAP}, noop("beside")
)
COLLECT = mapped(
    "m",
    seq(
        paid("before"),
        {
            "choice": "c",
            "cases": [{"when": "item == `2`", "do": fail("bad")}],
            "otherwise": noop("good", v={"$": "item"}),
        },
        noop("after", v={"$": "item"}),
    ),
    max_concurrency=2,
    on_item_failure="collect",
)
BESIDE = mapped(
    "m",
    seq(both("b", fail("bad", when="item == `1`"), noop("fine")), noop("after")),
    on_item_failure="collect",
)
EVERYTHING = seq(
    paid("a", n=1),
    both("p", paid("b"), seq(paid("c"), paid("d"))),
    mapped("m", seq(paid("e", v={"$": "item"}), paid("f")), max_concurrency=2),
    {"loop": "l", "max": 3, "until": "index == `1`", "do": paid("g")},
    {"choice": "q", "cases": [{"when": "input.items", "do": paid("h")}]},
    {"wait": "w", "for": "2d"},
    {"approval": "review", "timeout": "7d", "on_timeout": "go_on"},
    {"workflow": "sub", "type": "sub", "with": {"n": {"$": "steps.a.output.n"}}},
)
SUB = {"do": paid("x", n={"$": "input.n"}), "output": {"n": {"$": "steps.x.output.n"}}}
AFTER_A = {"sequence": [fail("a"), noop("b", v={"$": "steps.a"})]}
APPROVAL = seq({"approval": "review", "timeout": "1d"}, noop("b"))
YES = {"approved": True, "by": "ada@example.com"}
NO = {"approved": False, "by": "ada@example.com", "comment": "too dear"}
ITEMS = {"items": [1, 2, 3]}

NAMES = seq(
    noop("a", until={"$": "now"}),
    {"wait": "w", "for": "30d"},
    noop(
        "b",
        type={"$": "workflow.type"},
        days={"$": "round(divide(date_diff(now, steps.a.output.until), `86400`), `0`)"},
    )
    | {"when": "date_diff(now, steps.a.output.until) > `86400`"},
    mapped(
        "m",
        noop("x", text={"$": "concat(item, '/', index, ' at ', date_format(now, '%%'))"})
        | {"compensation": {"action": "control.noop", "with": {"v": {"$": "add(item, index)"}}}},
    ),
    fail("end", when="date_diff(now, workflow.started_at) < `0`"),
)

CHAINS = {
    "a chain": Case(seq(noop("a", n=1), noop("b", n={"$": "steps.a.output.n"}))),
    "an output": Case(noop("a", n=1), rest={"output": {"n": {"$": "steps.a.output.n"}}}),
    "an output that fails": Case(noop("a"), rest={"output": {"n": {"$": "abs(input.no)"}}}),
    "an output that does not fit": Case(
        noop("a"),
        rest={
            "output": {"n": {"$": "input.no"}},
            "output_schema": {"properties": {"n": {"type": "string"}}},
        },
    ),
    "a reference that fails": Case(seq(paid("z"), noop("a", n={"$": "abs(input.no)"}))),
    "an input that does not fit": Case(
        seq(paid("z"), fail("a", **{"with": {"kind": {"$": "input.no"}}}))
    ),
    "a condition that fails": Case(noop("a") | {"when": "abs(input.no) == `1`"}),
    "all the names": Case(
        NAMES, ITEMS, {"output": {"type": {"$": "workflow.type"}, "of": {"$": "steps.b.output"}}}
    ),
    "a function that fails": Case(seq(paid("z"), noop("a", n={"$": "divide(`1`, `0`)"}))),
    "a failure undone": Case(seq(paid("a"), paid("b"), fail("c"))),
    "no compensation": Case(seq(paid("a"), noop("b") | {"compensation": "none"}, fail("c"))),
    "retries": Case(
        seq(paid("a"), fail("b", retry={"tries": 3}, **{"with": {"kind": "retryable"}}))
    ),
    "retries of others": Case(
        fail("b", retry={"on": ["no"]}, **{"with": {"kind": "retryable"}}),
    ),
    "an unknown outcome": Case(fail("b", retry={"tries": 2}, **{"with": {"kind": "unknown"}})),
    "a failure passed over": Case(seq(fail("a", on_failure="skip"), noop("b"))),
    "a default": Case(seq(fail("a", on_failure={"default": [1]}), AFTER_A["sequence"][1])),
    "skipped at the end": Case(seq(paid("a"), noop("b") | {"when": "input.no"})),
    "siblings undone": Case(seq(both("p", paid("a"), seq(paid("b"), paid("c"))), fail("d"))),
    "a failure beside others": Case(both("p", seq(paid("a"), noop("a2")), fail("b"), paid("c"))),
}

BLOCKS = {
    "gold": Case(seq(CHOICE, noop("end", got={"$": "steps.c.output"})), {"tier": "gold"}),
    "silver": Case(seq(CHOICE, fail("end")), {"tier": "silver"}),
    "tin": Case(seq(CHOICE, noop("end", got={"$": "steps.c.output"})), {"tier": "tin"}),
    "gold undone": Case(seq(CHOICE, fail("end")), {"tier": "gold"}),
    "no way": Case({"choice": "c", "cases": [{"when": "input.no", "do": noop("a")}]}),
    "a loop": Case(LOOP, {"wanted": 2}, {"output": {"n": {"$": "steps.again.output"}}}),
    "a loop undone": Case(seq(LOOP, fail("end")), {"wanted": 2}),
    "a loop exhausted": Case(LOOP, {"wanted": 9}),
    "a loop that goes on": Case(LOOP | {"on_exhausted": "go_on"}, {"wanted": 9}),
}

MAPS = {
    "a map": Case(
        mapped("m", noop("x", v={"$": "item"}), max_concurrency=2),
        ITEMS,
        {"output": {"all": {"$": "steps.m.output"}}},
    ),
    "a map of nothing": Case(mapped("m", noop("x")), {"items": []}),
    "a map of no list": Case(mapped("m", noop("x")), {"items": 3}),
    "a map that stops": Case(
        mapped("m", seq(paid("x"), fail("y", when="item == `2`")), max_concurrency=2), ITEMS
    ),
    "a map undone": Case(seq(mapped("m", seq(paid("x"), paid("y"))), fail("end")), ITEMS),
    "collect": Case(
        seq(COLLECT, noop("end", bad={"$": "steps.m.failures"}, all={"$": "steps.m.output"})),
        ITEMS,
    ),
    "collect undone": Case(seq(COLLECT, fail("end")), ITEMS),
    "collect beside": Case(BESIDE, {"items": [1, 2]}),
    "a loop in collect": Case(
        mapped(
            "m",
            {"loop": "l", "max": 2, "until": "item == `1`", "do": noop("x")},
            on_item_failure="collect",
        ),
        ITEMS,
    ),
    "nested": Case(NESTED, {"items": [1, 2]}, {"output": {"all": {"$": "steps.turns.output"}}}),
    "nested undone": Case(seq(NESTED, fail("end")), {"items": [1, 2]}),
}

WAITS = {
    "a wait": Case(seq({"wait": "w", "for": "30d"}, noop("b"))),
    "a wait that is over": Case({"wait": "w", "until": "2020-01-01T00:00:00+00:00"}),
    "a wait until nonsense": Case({"wait": "w", "until": {"$": "input.at"}}, {"at": "soon"}),
    "a wait of the input's": Case({"wait": "w", "for": {"$": "input.long"}}, {"long": "3d"}),
    "a time-out of the input's": Case(
        seq(paid("a"), {"approval": "review", "timeout": {"$": "input.long"}}), {"long": "3d"}
    ),
    "a time-out of nonsense": Case(
        seq(paid("a"), noop("b") | {"timeout": {"$": "input.long"}}), {"long": "soon"}
    ),
    "a time-out of a retry": Case(
        fail(
            "a",
            **{"with": {"kind": "retryable"}},
            retry={"tries": 9, "backoff": "1m", "jitter": 0},
            timeout={"$": "multiply(input.minutes, `60`)"},
        ),
        {"minutes": 2},
    ),
    "a child too long for the input": Case(
        {"workflow": "sub", "type": "sub", "timeout": {"$": "input.long"}},
        {"long": "2h"},
        children={"sub": {"do": {"wait": "w", "for": "5h"}}},
    ),
    "a time-out": Case(seq(paid("a"), {"wait": "w", "for": "3d"}), rest={"timeout": "1d"}),
    "a yes": Case(APPROVAL, signals=(("review", YES),)),
    "a no": Case(APPROVAL, signals=(("review", NO),)),
    "a no that goes on": Case(
        {"approval": "review", "on_reject": "go_on"}, signals=(("review", NO),)
    ),
    "nobody": Case(APPROVAL),
    "nobody, and go on": Case({"approval": "review", "timeout": "1d", "on_timeout": "go_on"}),
    "somebody else": Case(
        {"approval": "review", "timeout": "1d", "by": ["eve@example.com"]},
        signals=(("review", YES),),
    ),
    "two approvals": Case(
        both("p", {"approval": "one", "signal": "s"}, {"approval": "two", "signal": "s"}),
        signals=(("s", YES), ("s", NO)),
    ),
}

CHILDREN = {
    "a child": Case(
        {"workflow": "sub", "type": "sub", "with": {"n": {"$": "input.n"}}},
        {"n": 7},
        {"output": {"n": {"$": "steps.sub.output.output.n"}}},
        {"sub": SUB},
    ),
    "a child that fails": Case(
        seq(paid("a"), {"workflow": "sub", "type": "sub"}),
        children={"sub": {"do": seq(paid("x"), fail("y"))}},
    ),
    "a child that may fail": Case(
        seq({"workflow": "sub", "type": "sub", "on_failure": "skip"}, noop("b")),
        children={"sub": {"do": fail("y")}},
    ),
    "a child refused": Case(
        {"workflow": "sub", "type": "sub", "with": {"n": "x"}},
        children={"sub": SUB | {"input_schema": {"properties": {"n": {"type": "integer"}}}}},
    ),
    "a child undone": Case(
        seq({"workflow": "sub", "type": "sub"}, fail("end")), children={"sub": SUB}
    ),
    "a child stopped": Case(
        both("p", {"workflow": "sub", "type": "sub"}, seq({"wait": "w", "for": "1h"}, fail("x"))),
        children={"sub": {"do": seq(paid("x"), {"wait": "w", "for": "20h"})}},
    ),
    "a child left": Case(
        seq({"workflow": "sub", "type": "sub", "await": False, "on_stop": "leave"}, fail("end")),
        children={"sub": {"do": {"wait": "w", "for": "1d"}}},
    ),
    "a child too long": Case(
        {"workflow": "sub", "type": "sub", "timeout": "2h"},
        children={"sub": {"do": seq(paid("x"), {"wait": "w", "for": "5h"})}},
    ),
}

ENDS = {
    "past the pivot": Case(seq(paid("a"), noop("p") | {"pivot": True}, fail("late"))),
    "before the pivot": Case(seq(paid("a"), fail("b"), noop("p") | {"pivot": True})),
    "the pivot fails": Case(seq(paid("a"), fail("p", pivot=True), noop("b"))),
    "past the pivot in time": Case(
        seq(paid("a"), noop("p") | {"pivot": True}, {"wait": "w", "for": "2d"}),
        rest={"timeout": "1d"},
    ),
    "held": Case(seq(paid("a"), fail("b")), rest={"on_failure": "hold"}),
    "everything": Case(
        EVERYTHING, ITEMS, {"output": {"l": {"$": "steps.l.output"}}}, children={"sub": SUB}
    ),
    "everything undone": Case(
        seq(EVERYTHING, fail("end")), ITEMS, children={"sub": SUB}, signals=(("review", YES),)
    ),
}

AWAITED = {"type": "order.*", "filter": "event.data.n == input.n"}
N = {"output": {"n": {"$": "steps.w.output.data.n"}, "late": {"$": "steps.w.output.is_timed_out"}}}


def told(**data: Any) -> Json:
    """An event that comes in."""
    return {"type": "order.paid", "data": data}


EVENTS = {
    "the one that is meant": Case(
        seq({"wait": "w", "event": AWAITED}, paid("b")),
        {"n": 2},
        N,
        events=(told(n=1), told(n=2, first=True), told(n=2)),
    ),
    "too late": Case({"wait": "w", "event": AWAITED, "timeout": "1d"}, {"n": 2}, events=(told(),)),
    "none is needed": Case(
        {"wait": "w", "event": AWAITED, "timeout": "1d", "on_timeout": "go_on"}, {"n": 2}, N
    ),
    "none is meant": Case({"wait": "w", "event": AWAITED, "when": "input.n > `2`"}, {"n": 2}, N),
    "its own": Case(
        both(
            "p",
            {"wait": "w", "event": AWAITED},
            seq(
                {"wait": "a", "for": "1h"},
                {
                    "step": "e",
                    "action": "control.emit",
                    "with": {"type": "order.done", "data": {"n": 2}},
                },
            ),
        ),
        {"n": 2},
        N,
    ),
}

CASES = {
    "events": EVENTS,
    "chains": CHAINS,
    "blocks": BLOCKS,
    "maps": MAPS,
    "waits": WAITS,
    "children": CHILDREN,
    "ends": ENDS,
}
