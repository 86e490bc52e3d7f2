"""What one does to one's own account by the API is answered once: see 0011_own_account.sql."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    # A whole script, without parameters: text with colons must reach the server as it is.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text().replace("%", "%%"))
