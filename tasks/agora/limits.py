"""Agora's limits of an account in each second: for queries, and for all other calls.

https://docs.agora.io/en/video-calling/channel-management-api/overview
"""

from dataclasses import replace

from app.outbound import http
from app.outbound.http import Demand, Limit
from tasks.agora.settings import AgoraSettings


def demand(method: str) -> Demand:
    """What a request takes."""
    settings = AgoraSettings.current()
    limit = Limit("other", requests=settings.limit_requests)
    if method == "GET":
        limit = Limit("query", requests=settings.limit_queries)
    return Demand(
        (limit, *http.in_flight(settings.limit_in_flight)),
        told=lambda reply: replace(http.told(reply), names=(limit.name,)),
    )
