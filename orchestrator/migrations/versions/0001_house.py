"""The tables, and the rules that no program can get around."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    for part in ("0001_tables.sql", "0001_rules.sql"):
        # Whole scripts, without parameters: text with colons must reach the server as it is.
        op.get_bind().exec_driver_sql((Path(__file__).parent / part).read_text().replace("%", "%%"))
