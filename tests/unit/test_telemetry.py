"""Logs for people and for machines."""

import subprocess
import sys

import pytest

FAILING = """
import structlog
from app.settings import Settings
from app.telemetry import configure_logs, logger

def pay():
    api_key = "".join(["sk_live", "_", "4242"])
    raise OSError("connection reset")

configure_logs(Settings.model_construct(log_json={json}, log_level="INFO"))
try:
    pay()
except OSError as err:
    logger("stripe").error("payment.failed", exc_info=err)
"""


CARD = """
import logging
from app.settings import Settings
from app.telemetry import configure_logs, logger

configure_logs(Settings.model_construct(log_json={json}, log_level="INFO"))
log = logger("stripe")
log.info("declined 4242424242424242", about={{"card": ["4000-0566-5566-5556"]}}, size=16)
logging.getLogger("a library").warning("sent %s", "378282246310005")
try:
    raise ValueError("no card is 6011111111111117")
except ValueError as err:
    log.error("payment.failed", exc_info=err)
"""


@pytest.mark.parametrize("json", [True, False])
def test_no_card_number_is_logged(json: bool) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CARD.format(json=json)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0
    assert ended.stderr.count("[card number ending in ") == 4
    digits = "".join(filter(str.isdigit, ended.stderr))
    for number in ("4242424242424242", "4000056655665556", "378282246310005", "6011111111111117"):
        assert number not in digits


@pytest.mark.parametrize("json", [True, False])
def test_a_logged_traceback_says_where_it_failed_and_no_value_of_a_variable(json: bool) -> None:
    program = FAILING.format(json=json)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    for told in ("payment.failed", "in pay", "OSError: connection reset"):
        assert told in ended.stderr
    assert "4242" not in ended.stderr
