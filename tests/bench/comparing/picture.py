"""A comparison as a picture (SVG): how many times as fast, and CPU per step by process group. Pure.

It reads what report.as_data gives, and nothing else.
"""

from collections.abc import Iterator
from typing import Any

from chains.drawing.svg import box, group, line, page, shortened, text
from tests.bench.comparing.report import GROUPS, SIDES, shown

Json = dict[str, Any]

WIDTH = 980.0
_LEFT, _TOP, _ROW = 20.0, 96.0, 62.0
_RATIO_AT, _RATIO_WIDTH = 330.0, 240.0
_CPU_AT, _CPU_WIDTH = 650.0, 230.0
_BAR = 13.0
_MOST_RATIO = 5.0
"""A longer bar is cut, or the others would be specks beside it."""
_LABEL = 36.0
_TITLE_LETTERS = 42
_KINDS = {"workers": "step", "postgres": "child", "valkey": "wait"}
_NAMES = {"workers": "workers", "postgres": "PostgreSQL", "valkey": "Valkey"}


def draw(report: Json) -> str:
    """The SVG document."""
    loads = report["loads"]
    height = _TOP + _ROW * len(loads) + 44
    told = "; ".join(f"{load['title']}: {load['ratio']:.2f} times raw Celery" for load in loads)
    return page(WIDTH, height, _parts(loads, report["setting"], height), told)


def _parts(loads: list[Json], setting: Json, height: float) -> Iterator[str]:
    yield text(_LEFT, 32, "Durable steps against raw Celery", "name")
    yield text(_RATIO_AT, 62, "times as fast as raw Celery", "key")
    yield text(_CPU_AT, 62, "CPU ms a step", "key")
    yield from _legend()
    most_ratio = min(_MOST_RATIO, max([2.0, *(load["ratio"] for load in loads)]))
    one = _RATIO_AT + _RATIO_WIDTH / most_ratio
    most_cpu = max(load[side]["cpu_ms_per_step"] for load in loads for side in SIDES)
    for number, load in enumerate(loads):
        top = _TOP + number * _ROW
        yield _labels(load, top)
        yield _ratio(load["ratio"], top, one)
        yield _cpu(load, top, _CPU_WIDTH / max(most_cpu, 0.001))
    yield line([(one, _TOP - 6), (one, _TOP + _ROW * len(loads) - 16)])
    yield text(one, _TOP - 10, "1", "soft", anchor="middle")
    said = ", ".join(f"{name} {value}" for name, value in setting.items())
    yield text(_LEFT, height - 18, said, "soft")


def _legend() -> Iterator[str]:
    at = _CPU_AT
    for name in GROUPS:
        yield box(at, 72, 9, 9, _KINDS[name], radius=2)
        yield text(at + 13, 80, _NAMES[name], "soft")
        at += 30 + 6 * len(_NAMES[name])


def _labels(load: Json, top: float) -> str:
    figures = " · ".join(f"{side} {shown(load[side]['figure'], load['unit'])}" for side in SIDES)
    title = text(_LEFT, top + 13, shortened(load["title"], _TITLE_LETTERS), "key")
    return title + text(_LEFT, top + 31, figures, "soft")


def _ratio(ratio: float, top: float, one: float) -> str:
    """The bar; `one` is where the line stands that it is read against."""
    end = _RATIO_AT + min(ratio * (one - _RATIO_AT), _RATIO_WIDTH)
    height = 2 * _BAR + 4
    parts = [box(_RATIO_AT, top + 4, end - _RATIO_AT, height, "bar", radius=3)]
    if ratio * (one - _RATIO_AT) > _RATIO_WIDTH:
        parts.append(box(end - 14, top + 2, 4, height + 4, "ground", radius=0))
    label_at = one if one - _LABEL < end < one else end
    parts.append(text(label_at + 7, top + 23, f"{ratio:.2f}", "key"))
    return "".join(parts)


def _cpu(load: Json, top: float, scale: float) -> str:
    return "".join(
        _stack(side, load[side], top + 4 + number * (_BAR + 4), scale)
        for number, side in enumerate(SIDES)
    )


def _stack(side: str, of: Json, top: float, scale: float) -> str:
    at, parts = _CPU_AT, []
    for name in GROUPS:
        width = of["cpu_ms_per_step_by_group"][name] * scale
        parts.append(box(at, top, width, _BAR, _KINDS[name], radius=0))
        at += width
    total = f"{of['cpu_ms_per_step']:.2f} {side}"
    return group(parts, f"{side}: {total}") + text(at + 6, top + 11, total, "soft")
