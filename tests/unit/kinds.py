"""A definition with nodes of every kind, nested in one another."""

from typing import Any

from chains.language.dsl import (
    approval,
    case,
    child,
    choice,
    definition,
    flow,
    limit,
    loop,
    map_over,
    parallel,
    ref,
    sequence,
    step,
    wait,
)

EVERY_KIND: dict[str, Any] = definition(
    "every_kind",
    sequence(
        step("first", "control.noop", {"n": ref("input.n")}, retry={"tries": 4}, timeout="10m"),
        parallel(
            "both",
            step("left", "control.noop", when="input.n > `1`", on_failure="skip"),
            map_over(
                "swap",
                ref("input.photos"),
                sequence(
                    step("render", "control.noop", {"photo": ref("item")}),
                    wait("rest", duration="90s"),
                ),
                max_concurrency=8,
                on_item_failure="collect",
            ),
        ),
        choice(
            "tier",
            case(
                "input.tier == 'gold'",
                approval("boss", by=["ada@example.com"], timeout="2d", remind=["4h", "1d"]),
            ),
            case("input.tier == 'silver'", wait("until_then", until="2027-01-01T09:00:00Z")),
            case(
                "input.tier == 'tin'",
                wait(
                    "tinned",
                    event={
                        "type": "tin.*",
                        "filter": "event.data.n == input.n",
                        "within_last": "2h",
                    },
                    timeout="3d",
                    on_timeout="go_on",
                ),
            ),
            otherwise=step("cheap", "control.noop", on_failure={"default": None}),
        ),
        loop(
            "refine",
            step("again", "control.noop", {"turn": ref("index")}),
            until="steps.again.output.turn > `1`",
            most=5,
            on_exhausted="go_on",
        ),
        child("sub", "noop_chain", {}, awaited=False, on_stop="leave"),
        step("paid", "control.noop", compensation={"action": "control.noop"}),
        step("told", "control.noop", pivot=True, priority=9),
        step("after", "control.noop", compensation="none"),
    ),
    description="Every kind of node <at once> & 名前",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "properties": {"n": {"type": "integer"}, "photos": {"type": "array"}, "tier": {}},
    },
    output={"rendered": ref("steps.swap.output")},
    flow=flow(concurrency=[limit(3, key="input.tier")], throttle={"limit": 9, "period": "1m"}),
    timeout="40d",
)
