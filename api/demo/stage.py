"""What the audience sees: phases with their seconds, lines of progress, and the record for `--json`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click


@dataclass
class Stage:
    """Collects what was measured; prints on standard error so that standard output stays for results."""

    seconds: dict[str, float] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    people: list[dict[str, str]] = field(default_factory=list)  # with passwords: shown, not written
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def phase(self, name: str, title: str) -> Iterator[None]:
        """Time one phase; a phase that fails is timed and named too."""
        begun = time.monotonic()
        click.secho(f"\n▸ {title}", bold=True, err=True)
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - begun, 1)
            click.secho(f"  {self.seconds[name]:.1f} s".replace(".", ","), dim=True, err=True)

    def say(self, line: str) -> None:
        """One line of progress, stamped with the seconds since the start."""
        click.echo(f"  {time.monotonic() - self.started:5.0f} s  {line}", err=True)

    def total(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.started, 1)
