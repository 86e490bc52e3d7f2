"""`python -m devcloud.neutron_tables CONFIG`: make neutron's tables from its models.

The models are what neutron's chain of migrations ends in; walking the chain on SQLite takes many times longer.
"""

from __future__ import annotations

import sys

import sqlalchemy
from alembic import command
from neutron.db.migration import cli
from neutron.db.migration.models import head


def main() -> None:
    cli.CONF(["--config-file", sys.argv[1], "stamp", "heads"], project="neutron")
    engine = sqlalchemy.create_engine(cli.CONF.database.connection)
    head.get_metadata().create_all(engine)
    for config in cli.get_alembic_configs():
        if config.get_main_option("neutron_project") == "neutron":
            command.stamp(config, "heads")


if __name__ == "__main__":
    main()
