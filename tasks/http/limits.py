"""The limits of each host that steps call, and its budget for repeated calls.

Nothing is learned from an answer. A host may refuse the account of one author of a definition, of
which Playalter knows nothing, or redirect to a host that refuses: this must not close the host for
all others. The step that was refused waits as long as the answer says.
"""

from app.outbound.fetching import origin
from app.outbound.http import Demand, HttpReply, Limit, Told
from tasks.http.settings import HttpSettings

_BURST = 10


def demand(url: str) -> Demand:
    """What a request to an address takes. Redirects count for the host that redirects."""
    own, (_, host, port) = HttpSettings.current(), origin(url)
    limit = Limit("host", requests=own.limit_requests, in_flight=own.limit_in_flight, burst=_BURST)
    return Demand((limit,), told=_nothing, account=f"{host[:255]}:{port}")


def _nothing(_: HttpReply) -> Told:
    return Told()
