"""Test copies, and services that go to another member: see 0032_moves.sql."""

from pathlib import Path

from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    # A whole script, without parameters: text with colons must reach the server as it is.
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text().replace("%", "%%"))
