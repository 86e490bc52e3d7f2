"""`python -m api` is the command `clocher`."""

from api.cli import main

main(prog_name="clocher")
