"""`clocher --url … services` for leaving; as `api.commands.services_exports` does it here."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import click

from api.commands.remote import client, read
from api.commands.services_day2 import service_argument
from api.commands.services_exports import print_exports, take, tell_certificate, to_option
from api.output import json_option
from api.v1.schemas_exports import CertificateOut, ExportOut


@click.command()
@service_argument
@to_option
@json_option
def export(service_id: int, to: Path | None, as_json: bool) -> None:
    """Take an application's data along: wait for the archive, fetch it and verify its sum."""
    far, path = client(), f"/services/{service_id}/exports"
    asked = far.call("POST", path)
    here, flow = f"{path}/{asked['export']['id']}", f"/flows/{asked['flow']['id']}"

    def look() -> tuple[dict[str, Any], dict[str, Any]]:
        return far.call("GET", flow), read(ExportOut, far.call("GET", here))

    def fetch(file: IO[bytes]) -> None:
        far.save(f"{here}/archive", file)

    take(look, fetch, to, as_json)


@click.command("exports")
@service_argument
@json_option
def list_(service_id: int, as_json: bool) -> None:
    """The exports of a service, newest first."""
    found = client().call("GET", f"/services/{service_id}/exports")["items"]
    print_exports(service_id, [read(ExportOut, row) for row in found], as_json)


@click.command()
@service_argument
@json_option
def certificate(service_id: int, as_json: bool) -> None:
    """The certificate of a service's deletion: what went, when, by which operation."""
    tell_certificate(read(CertificateOut, client().call("GET", f"/services/{service_id}/certificate")), as_json)


COMMANDS = (export, list_, certificate)
