"""The examples in docstrings are true."""

import doctest
from types import ModuleType

import pytest

from app import cards, clock, keys, payload, valkey
from app.broker import links
from app.caching import two_levels
from app.engine import retry
from app.files import mentions, orientation
from app.money import currencies, facts
from app.outbound import stated_waits
from app.queries import cursors, waits
from app.queries.flow import places
from chains import registry
from chains.drawing import picture, svg
from chains.language import dsl, expression_rules, expressions, faults, scalars
from chains.language.functions import dates, numbers
from chains.schedules import cron
from ops.cli.remote import queues
from tests.bench.comparing import measure, report
from tests.bench.restate import server as restate_server

MODULES = (
    cards,
    clock,
    cron,
    currencies,
    cursors,
    dates,
    scalars,
    picture,
    places,
    dsl,
    expression_rules,
    expressions,
    facts,
    faults,
    keys,
    links,
    measure,
    mentions,
    numbers,
    orientation,
    payload,
    queues,
    registry,
    report,
    restate_server,
    retry,
    stated_waits,
    svg,
    two_levels,
    valkey,
    waits,
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
