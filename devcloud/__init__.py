"""A real OpenStack on one machine, with real guests, for development, tests, the demo: docs/adr/0003-dev-cloud.md."""
