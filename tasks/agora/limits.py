"""Agora's limits of an account in each second: for queries, and for all other calls.

https://docs.agora.io/en/video-calling/channel-management-api/overview
"""

from app.outbound.http import Demand, Limit
from tasks.agora.settings import AgoraSettings


def demand(method: str) -> Demand:
    """What a request takes."""
    settings = AgoraSettings.current()
    if method == "GET":
        return Demand((Limit("query", requests=settings.limit_queries),))
    return Demand((Limit("other", requests=settings.limit_requests),))
