"""Usage kept apart by one look at each statement: see 0036_usage_apart.sql."""

from pathlib import Path

from alembic import op

revision = "0036"
down_revision = "0033"


def upgrade() -> None:
    # A whole script, without parameters: text with colons must reach the server as it is.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text().replace("%", "%%"))
