"""The credential before the present one, which is sent if a platform refuses the present one.

So a credential is replaced in any order: a platform may know the new one later than our processes,
or forget the old one before them.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from pydantic import SecretStr

REFUSED = (401, 403)
"""The statuses of a credential that is not accepted: some vendors answer a wrong token with 403."""
_TELL_SECONDS = 60.0
_log = structlog.get_logger()
_told: dict[str, float] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Spare:
    """Two values of one header: `present` is sent first, and `old` where `present` is refused."""

    present: str = field(repr=False)
    old: str = field(repr=False)
    setting: str
    """The variable of the present credential."""

    def instead(self, status: int, sent: Mapping[str, str]) -> dict[str, str] | None:
        """The headers with the old credential; None if the status does not refuse the present one,
        or the headers do not hold it."""
        if status not in REFUSED or not any(self.present in value for value in sent.values()):
            return None
        return {name: value.replace(self.present, self.old) for name, value in sent.items()}

    def helps(self, platform: str, status: int) -> bool:
        """Whether the old credential was not refused. That it was accepted is logged at most once
        a minute; a limit or a failure of the platform does not say that."""
        if status in REFUSED:
            return False
        if status < 500 and status != 429:
            self._tell(platform)
        return True

    def _tell(self, platform: str) -> None:
        now = time.monotonic()
        with _lock:
            if now - _told.get(platform, -_TELL_SECONDS) < _TELL_SECONDS:
                return
            _told[platform] = now
        _log.warning(
            "old_credential_used", platform=platform,
            why=f"{platform} refuses {self.setting} and takes {self.setting}_OLD",
        )  # fmt: skip


def spare(setting: str, present: SecretStr | str, old: SecretStr | str) -> Spare | None:
    """The spare credential of the variable `setting`; None if there is none or it is the same."""
    texts = [
        each.get_secret_value() if isinstance(each, SecretStr) else each for each in (present, old)
    ]
    return Spare(texts[0], texts[1], setting) if all(texts) and texts[0] != texts[1] else None
