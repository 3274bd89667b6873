"""A web server that the imitated Stripe can reach."""

import threading
from collections.abc import Iterator

import pytest
from werkzeug.serving import make_server

from app import settings
from tests.canaries import Overheard
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from web import create_app


@pytest.fixture
def front(kernel: Kernel, vendors: Vendors) -> Iterator[str]:
    """A web server that receives the sandbox's webhooks; its address."""
    server = make_server("127.0.0.1", 0, Overheard(create_app(settings.current())), threaded=True)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    address = f"http://127.0.0.1:{server.server_port}"
    vendors.change(hook_base=address)
    yield address
    vendors.change(hook_base="")
    server.shutdown()
    serving.join()
    server.server_close()
