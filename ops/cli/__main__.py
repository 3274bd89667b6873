"""`python -m ops.cli`, which needs no installed script."""

from ops.cli import main

main()
