"""One instance for the folder, and a campaign that is under way beside all of its tests."""

from collections.abc import Iterator

import pytest

from tests.e2e.campaign import REFUSED_BRIEF, Campaign, Customer
from tests.e2e.instance import running_instance
from tests.e2e.stack import Stack, until

REFUSED = "refused-at-stripe"


@pytest.fixture(scope="package")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The folder's instance."""
    with running_instance(tmp_path_factory.mktemp("calm")) as stack:
        yield stack


@pytest.fixture(scope="package")
def refused_campaign(instance: Stack) -> Campaign:
    """A campaign whose authorization meets a 429 and then a stored 500, under way since the start.

    Whether a call that ended in a 500 had an effect is settled when its deadline of a minute has
    passed: the other tests run meanwhile. Its brief is refused, so that it meets none of the faults
    that are meant for others; these have to name their customer at `payment_intents.create`.
    """
    create = ("stripe", "payment_intents.create", "status")
    instance.fault(*create, status=429, retry_after=2, match=REFUSED)
    stored = instance.fault(*create, status=500, stored=True, match=REFUSED)
    email = f"{REFUSED}@example.com"
    campaign = Customer(instance).start(1, customer_email=email, brief=REFUSED_BRIEF)
    until("the stored 500 at Stripe", stored, 30.0, campaign.dump)
    return campaign


@pytest.fixture
def stack(refused_campaign: Campaign, stack: Stack) -> Stack:
    """The instance without faults, all of it up."""
    return stack
