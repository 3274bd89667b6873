"""The workflow types that ship with Playalter. A new type is one file here and one entry below."""

from typing import Any

from chains.definitions import face_swap_campaign, noop_chain

ALL: tuple[dict[str, Any], ...] = (face_swap_campaign.BODY, noop_chain.BODY)
