"""A database that notes every change of status, and how many examples are tried."""

import pytest
from hypothesis import HealthCheck, Phase, settings

from app.settings import current
from chains.catalogue import versions
from tests.integration.conftest import Kernel
from tests.integration.properties import observed
from tests.integration.properties.samples import BUDGETS, CHILDREN, SAMPLES

_always = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)
settings.register_profile(
    "quick",
    _always,
    derandomize=True,
    max_examples=4,
    stateful_step_count=25,
    # What is found is made smaller by the long profile; here it would outlive the run.
    phases=(Phase.generate,),
)
settings.register_profile(
    "search", _always, max_examples=60, stateful_step_count=50, phases=(Phase.generate,)
)
settings.register_profile("long", _always, max_examples=400, stateful_step_count=60)


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> settings:
    """The same few examples at every run; `--hypothesis-profile=long` for many others."""
    return settings.get_profile(request.config.getoption("--hypothesis-profile") or "quick")


@pytest.fixture
def observing(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The kernel with the samples registered, under leases that no slow machine outlives."""
    monkeypatch.setenv("LEASE_SECONDS", "600")
    current.cache_clear()
    observed.install()
    for name, node in {**CHILDREN, **SAMPLES}.items():
        budget = {"budget_usd": BUDGETS[name]} if name in BUDGETS else {}
        versions.register({"name": name, "do": node, "timeout": "60d", **budget})
    return kernel
