"""`playalter` with the actions of the benchmark: its front and its reconciler must know them, too.

The web front becomes gunicorn, which knows nothing of this process; so gunicorn takes this module
as its configuration.
"""

import os

from ops.cli import main
from tests.bench.comparing import actions

actions.register()

if __name__ == "__main__":
    os.environ["GUNICORN_CMD_ARGS"] = "--config python:tests.bench.comparing.playalter"
    main()
