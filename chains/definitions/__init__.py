"""The workflow types that ship with the system: one file and one line each."""

from typing import Any

from chains.definitions import face_swap_campaign, noop_chain

ALL: tuple[dict[str, Any], ...] = (face_swap_campaign.BODY, noop_chain.BODY)
