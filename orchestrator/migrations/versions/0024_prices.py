"""Prices by kind of member, in steps, by the month and once; what applications count: see 0024_prices.sql."""

from pathlib import Path

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    # A whole script, without parameters: text with colons must reach the server as it is.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text().replace("%", "%%"))
