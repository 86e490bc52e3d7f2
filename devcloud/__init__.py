"""A real OpenStack on one machine, with real guests: for development, tests and the demo. See docs/adr/0003-dev-cloud.md."""
