"""Our hours beside Nova's, kept for those who read them: see 0027_usage_checks.sql."""

from pathlib import Path

from alembic import op

revision = "0027"
down_revision = "0020"


def upgrade() -> None:
    # A whole script, without parameters: text with colons must reach the server as it is.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text().replace("%", "%%"))
