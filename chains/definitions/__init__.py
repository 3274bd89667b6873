"""The workflow types that are shipped with Playalter.

To add a type, add a file to this folder and its body to `ALL`.
"""

from typing import Any

from chains.definitions import face_swap_campaign, noop_chain

ALL: tuple[dict[str, Any], ...] = (face_swap_campaign.BODY, noop_chain.BODY)
