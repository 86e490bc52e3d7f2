"""Windows of maintenance and announced upgrades: see 0033_upgrades.sql."""

from pathlib import Path

from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    # A whole script, without parameters: text with colons must reach the server as it is.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text().replace("%", "%%"))
