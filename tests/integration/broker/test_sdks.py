"""The vendors' SDKs are imported once, before a worker forks its pool."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import NO_VALKEY, environment

CHECKOUT = Path(__file__).parents[3]
# A worker object as the command line makes it; its pool is not started.
PROGRAM = """
import json, sys
from chains.worker import celery_app

SDKS = ("openai", "replicate", "stripe")
queues = sys.argv[1].split(",")
made = [[each for each in SDKS if each in sys.modules]]
celery_app.Worker(queues=queues, pool="prefork", concurrency=2)
made.append([each for each in SDKS if each in sys.modules])
print(json.dumps(made))
"""


@pytest.mark.parametrize(
    ("queues", "imported"),
    [
        ("stripe,vercel", ["stripe"]),
        ("control,openai,replicate,stripe", ["openai", "replicate", "stripe"]),
        ("control", []),
    ],
)
def test_a_worker_imports_the_sdks_of_its_queues_before_it_forks(
    tmp_path: Path, queues: str, imported: list[str]
) -> None:
    settings = environment("postgresql://a:b@127.0.0.1:1/none", NO_VALKEY, tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, queues],
        cwd=CHECKOUT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == [[], imported]
