"""A comparison as a picture (SVG): how many times as fast, and CPU per step by process group. Pure.

It reads what report.as_data gives, and nothing else.
"""

from collections.abc import Iterator
from typing import Any

from chains.drawing.svg import box, group, line, page, shortened, text
from tests.bench.comparing.report import GROUPS, NAMES, OURS, shown, sides_of

Json = dict[str, Any]

WIDTH = 980.0
_LEFT, _TOP = 20.0, 96.0
_RATIO_AT, _RATIO_WIDTH = 330.0, 228.0
_CPU_AT, _CPU_WIDTH = 650.0, 230.0
_BAR, _GAP, _BETWEEN = 13.0, 4.0, 28.0
_MOST_RATIO = 5.0
"""A longer bar is cut, or the others would be specks beside it."""
_LABEL = 36.0
_TITLE_LETTERS = 42
_SETTING_LETTERS = 150
_KINDS = {"workers": "step", "servers": "person", "postgres": "child", "valkey": "wait"}
_GROUP_NAMES = {
    "workers": "workers",
    "servers": "servers",
    "postgres": "PostgreSQL",
    "valkey": "Valkey",
}


def draw(report: Json) -> str:
    """The SVG document."""
    loads, sides = report["loads"], sides_of(report)
    said = _lines(", ".join(f"{name} {value}" for name, value in report["setting"].items()))
    height = _TOP + _row(sides) * len(loads) + 26 + 18 * len(said)
    told = "; ".join(
        f"{load['title']}: {load['ratios']['raw']['durable']['ratio']:.2f} times raw Celery"
        for load in loads
    )
    return page(WIDTH, height, _parts(loads, sides, said, height), told)


def _row(sides: list[str]) -> float:
    """The height of a load: a bar for each side's CPU, and its title with the figures."""
    return max(len(sides), 2) * (_BAR + _GAP) + _BETWEEN


def _parts(loads: list[Json], sides: list[str], said: list[str], height: float) -> Iterator[str]:
    compared = [side for side in sides if side != "raw"]
    others = [NAMES[side] for side in sides if side not in OURS]
    yield text(_LEFT, 32, f"Durable steps against {' and '.join(others)}", "name")
    yield text(_RATIO_AT, 62, "times as fast as raw Celery", "key")
    yield text(_CPU_AT, 62, "CPU ms a step", "key")
    yield from _legend(loads)
    ratios = [load["ratios"]["raw"] for load in loads]
    highest = max(each[side]["ratio"] for each in ratios for side in compared)
    most_ratio = min(_MOST_RATIO, max(2.0, highest))
    one = _RATIO_AT + _RATIO_WIDTH / most_ratio
    most_cpu = max(load["sides"][side]["cpu_ms_per_step"] for load in loads for side in sides)
    for number, load in enumerate(loads):
        top = _TOP + number * _row(sides)
        yield from _labels(load, sides, top)
        yield from _ratios(load["ratios"]["raw"], compared, top, one)
        yield from _cpu(load, sides, top, _CPU_WIDTH / max(most_cpu, 0.001))
    yield line([(one, _TOP - 6), (one, _TOP + _row(sides) * len(loads) - 16)])
    yield text(one, _TOP - 10, "1", "soft", anchor="middle")
    for number, each in enumerate(said):
        yield text(_LEFT, height - 18 * (len(said) - number), each, "soft")


def _lines(setting: str) -> list[str]:
    """The settings in lines that fit."""
    lines = [""]
    for part in setting.split(", "):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(longer) > _SETTING_LETTERS and lines[-1]:
            lines.append(part)
        else:
            lines[-1] = longer
    return lines


def _legend(loads: list[Json]) -> Iterator[str]:
    at = _CPU_AT
    for name in GROUPS:
        if not _is_used(loads, name):
            continue
        yield box(at, 72, 9, 9, _KINDS[name], radius=2)
        yield text(at + 13, 80, _GROUP_NAMES[name], "soft")
        at += 30 + 6 * len(_GROUP_NAMES[name])


def _is_used(loads: list[Json], group_name: str) -> bool:
    return any(
        of["cpu_ms_per_step_by_group"][group_name] > 0
        for load in loads
        for of in load["sides"].values()
    )


def _labels(load: Json, sides: list[str], top: float) -> Iterator[str]:
    yield text(_LEFT, top + 13, shortened(load["title"], _TITLE_LETTERS), "key")
    figures = [f"{side} {shown(load['sides'][side]['figure'], load['unit'])}" for side in sides]
    for number, start in enumerate(range(0, len(figures), 2)):
        said = " · ".join(figures[start : start + 2])
        yield text(_LEFT, top + 31 + 16 * number, said, "soft")


def _ratios(ratios: Json, compared: list[str], top: float, one: float) -> Iterator[str]:
    """A bar for each side that is compared with raw Celery; one alone is as high as two."""
    height = 2 * _BAR + _GAP if len(compared) == 1 else _BAR
    for number, side in enumerate(compared):
        at = top + 4 + number * (_BAR + _GAP)
        name = "" if len(compared) == 1 else f" {side}"
        yield _ratio(ratios[side]["ratio"], name, at, height, one)


def _ratio(ratio: float, name: str, top: float, height: float, one: float) -> str:
    """The bar; `one` is where the line stands that it is read against."""
    end = _RATIO_AT + min(ratio * (one - _RATIO_AT), _RATIO_WIDTH)
    kind = "bar" if name.strip() in {"", *OURS} else "head"
    parts = [box(_RATIO_AT, top, end - _RATIO_AT, height, kind, radius=3)]
    if ratio * (one - _RATIO_AT) > _RATIO_WIDTH:
        parts.append(box(end - 14, top - 2, 4, height + 4, "ground", radius=0))
    label_at = one if one - _LABEL < end < one else end
    kind = "soft" if name else "key"
    parts.append(text(label_at + 7, top + height / 2 + 4, f"{ratio:.2f}{name}", kind))
    return "".join(parts)


def _cpu(load: Json, sides: list[str], top: float, scale: float) -> Iterator[str]:
    for number, side in enumerate(sides):
        yield _stack(side, load["sides"][side], top + 4 + number * (_BAR + _GAP), scale)


def _stack(side: str, of: Json, top: float, scale: float) -> str:
    at, parts = _CPU_AT, []
    for name in GROUPS:
        width = of["cpu_ms_per_step_by_group"][name] * scale
        parts.append(box(at, top, width, _BAR, _KINDS[name], radius=0))
        at += width
    total = f"{of['cpu_ms_per_step']:.2f} {side}"
    return group(parts, f"{side}: {total}") + text(at + 6, top + 11, total, "soft")
