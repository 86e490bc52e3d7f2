"""Certificates of the hosts that the entry leads to: see 0037_entry_certificates.sql."""

from pathlib import Path

from alembic import op

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    # A whole script, without parameters: text with colons must reach the server as it is.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text().replace("%", "%%"))
