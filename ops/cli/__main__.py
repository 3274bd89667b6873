"""`python -m ops.cli` runs `playalter` without its installed script."""

from ops.cli import main

main()
