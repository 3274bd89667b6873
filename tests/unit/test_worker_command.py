"""`playalter worker`: options that do not fit are named before anything is started."""

import pytest
from click.testing import CliRunner

from app import settings
from ops.cli.local.processes import worker
from tests.unit.test_settings import OURS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--threads 2 --processes 2", "--threads and --processes exclude each other"),
        ("--queues stripe,gopher", "--queues: unknown platform gopher; known are control,"),
        ("--without control,gopher", "--without: unknown platform gopher"),
        ("--queues stripe,control --without control,stripe", "--without leaves no platform"),
    ],
)
def test_options_that_do_not_fit_are_named(
    options: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)
    settings.forget()
    try:
        done = CliRunner().invoke(worker, options.split())
    finally:
        settings.forget()
    assert done.exit_code == 2
    assert words in done.stderr
