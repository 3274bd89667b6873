"""The certificates of the authorities that servers are checked against, read once in a process.

requests and urllib3 read them again for each connection, which takes some 40 ms of CPU.
"""

import ssl
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import urllib3


def check_certificates(pool: "urllib3.HTTPConnectionPool", scheme: str) -> None:
    """Let a pool of connections check the certificate of its server and the name in it."""
    if scheme == "https":
        pool.conn_kw["ssl_context"] = _context()


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    # Imported late: the web process imports this module but never sends.
    from requests.utils import DEFAULT_CA_BUNDLE_PATH
    from urllib3.util.ssl_ import create_urllib3_context

    made = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    made.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return made
