"""Settings: environment variables `CLOCHER_*`, or a TOML file (`CLOCHER_CONFIG`, by default `clocher.toml`)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from orchestrator import colours
from orchestrator.errors import InvalidInput, Text

ROOT = Path(__file__).resolve().parent.parent


class Location(BaseSettings):
    """Where the TOML file lies; apart, because it must be known before the settings are read."""

    model_config = SettingsConfigDict(env_prefix="CLOCHER_", extra="ignore")
    config: Path = Path("clocher.toml")


class Remote(BaseSettings):
    """Where the command line finds the token for another installation (`clocher --url`); never an argument."""

    model_config = SettingsConfigDict(env_prefix="CLOCHER_", extra="ignore")
    token: SecretStr | None = None
    token_file: Path = Path("~/.config/clocher/token")


class OpenIDProvider(BaseModel):
    """Where people may sign in besides here. Our address there is public_url + /sign-in/with/<name>/back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9-]{1,30}$", description="short name, part of our address there")
    label: str = Field(min_length=1, max_length=60, description="what the button says")
    issuer: str = Field(pattern=r"^(https://|http://(127\.0\.0\.1|localhost)[:/])", description="as it names itself")
    client_id: str
    client_secret: SecretStr
    kind: Literal["standard", "proconnect"] = "standard"
    pkce: bool | None = Field(
        None, description="by default yes, except ProConnect, which refuses what it does not know"
    )
    timeout: float = Field(10.0, gt=0, description="seconds for one call")


class Source(BaseModel):
    """The archive (tar) of one version of an application that neither Debian nor PyPI nor npm has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(pattern=r"^(https://[^\s@]+|/\S+)$", description="https for guests, or a file on every worker")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="what is unpacked has this sum, or nothing is")


class Settings(BaseSettings):
    """All that an installation can choose. Environment variables win over the TOML file."""

    model_config = SettingsConfigDict(env_prefix="CLOCHER_", extra="forbid", frozen=True)

    state_dir: Path = Field(ROOT / ".clocher", description="where the embedded database, keys and logs are kept")
    secret_key: SecretStr | None = Field(None, description="made and kept in state_dir when absent")
    log_level: str = "INFO"
    log_json: bool = Field(False, description="one JSON object per line instead of text for people")

    database_url: SecretStr | None = Field(
        None, description="owner of the tables on a real PostgreSQL 15 or newer; absent: the embedded PostgreSQL"
    )
    web_database_url: SecretStr | None = Field(
        None, description="role clocher_web; derived from database_url if absent"
    )
    staff_database_url: SecretStr | None = Field(None, description="role clocher_staff; likewise")
    worker_database_url: SecretStr | None = Field(None, description="role clocher_worker; likewise")
    door_database_url: SecretStr | None = Field(None, description="role clocher_door (sign-in); likewise")

    territory: str = "vallombre"
    territories_dir: Path = ROOT / "tenants" / "territories"
    timezone: str = Field("Europe/Paris", description="where billing months begin")

    cloud: str = Field("clocher", description="name of the orchestrator's cloud in clouds_file")
    clouds_file: Path | None = Field(None, description="clouds.yaml; by default that of the dev cloud in state_dir")
    cloud_domain: str = Field("clocher", description="Keystone domain that holds the members' projects")
    external_network: str = "public"
    member_networks: str = Field("10.80.0.0/16", description="pool of the members' subnets")
    member_prefix: int = Field(24, ge=20, le=28, description="length of one member's subnet")
    management_networks: tuple[str, ...] = Field(
        ("198.18.0.1/32",), description="where Ansible and the monitoring reach the members' servers from"
    )
    nameservers: tuple[str, ...] = ()
    storage_gib: int | None = Field(
        None, ge=1, description="what the cloud's volume storage holds; it tells its own administrators only"
    )
    cloud_timeout: float = Field(30.0, gt=0, description="seconds for one call")
    build_timeout: float = Field(300.0, gt=0, description="seconds for a server or volume to be built")

    worker_id: str = Field("worker-1", pattern=r"^[a-z0-9-]{1,40}$", description="stable name of this worker")
    flows_per_member: int = Field(3, ge=1)
    flows_total: int = Field(12, ge=1)
    heartbeat_seconds: float = Field(2.0, gt=0)
    dead_after_seconds: float = Field(15.0, gt=0, description="a worker silent for so long is taken over")
    sweep_seconds: float = Field(60.0, gt=0, description="how often the cloud is searched for what belongs to nothing")
    cloud_reading_minutes: int = Field(
        60, ge=0, le=1440, description="how often the ledger is compared with the cloud; 0: never"
    )
    notifications_url: SecretStr | None = Field(
        None, description="what the cloud tells of itself: file:///… (one JSON a line) or rabbit://user:password@host/"
    )
    notifications_topics: tuple[str, ...] = Field(
        ("versioned_notifications", "notifications"), description="of the queue, as the cloud's services name them"
    )
    notifications_config: Path | None = Field(
        None, description="oslo.config file for the queue, where it has durable queues or TLS"
    )
    sweep_patience_seconds: float = Field(300.0, gt=0, description="it is deleted if seen again so much later")
    hold_failures: bool = Field(True, description="a flow that the DSI may mend waits for it; else undone at once")
    hold_hours: float = Field(72.0, gt=0, description="a flow that waited so long for the DSI is undone")
    delete_grace_hours: int = Field(
        72, ge=0, le=720, description="a deletion can be taken back for so long; 0: at once"
    )
    snapshots_per_service: int = Field(30, ge=1, le=200, description="how many snapshots a service may have")
    configure_timeout: float = Field(900.0, gt=0, description="seconds to configure a guest, all tries together")
    backup_timeout: float = Field(14400.0, gt=0, description="seconds to back an application up, restore or export it")
    exports_dir: Path | None = Field(
        None, description="where archives for members who leave are kept; workers and portal need the same one"
    )
    export_days: int = Field(7, ge=1, le=90, description="how long such an archive can be fetched")
    export_gib: int = Field(50, ge=1, description="how much data one may hold")
    usage_hour: int = Field(5, ge=0, le=23, description="local hour from which applications count what they hold")
    backup_hour: int = Field(1, ge=0, le=23, description="local hour from which the night's backups are made")
    upgrade_notice_days: int = Field(7, ge=0, le=60, description="how long before a planned upgrade its member is told")
    stacks_dirs: tuple[Path, ...] = Field((), description="folders of stacks beside playbooks/stacks, one folder each")
    stacks_sources: dict[str, dict[str, Source]] = Field(
        {}, description="for applications from elsewhere: name, version, its archive; what has none is not offered"
    )
    entry_domain: str = Field(
        "", pattern=r"^(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63})?$",
        description="domain of the applications' addresses, behind the territory's entry; empty: they have none",
    )  # fmt: skip
    entry_authority: Path | None = Field(
        None, description="certificates (PEM) of the authority that the entry asks by ACME; none: a public one"
    )
    availability_seconds: int = Field(300, ge=10, le=3600, description="how often each application's address is asked")
    ssh_timeout: float = Field(120.0, gt=0, description="seconds until a new guest must answer on SSH")

    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    portal_processes: int = Field(2, ge=1, le=64, description="processes that answer for the portal; one a core")
    public_url: str = Field(
        "http://127.0.0.1:8080", pattern=r"^https?://[^/\s]+$", description="where people reach the portal; for links"
    )

    api_requests_per_minute: int = Field(600, ge=1, description="what one token may read by the API")
    api_changes_per_minute: int = Field(120, ge=1, description="what one token may change by the API; likewise")

    trusted_proxies: int = Field(0, ge=0, le=5, description="proxies before us whose X-Forwarded-For and -Proto count")

    smtp_host: str | None = Field(None, description="absent: mails are kept as files in state_dir/mails")
    smtp_port: int = Field(587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_timeout: float = Field(20.0, gt=0, description="seconds")
    mail_from: str = Field("Clocher <clocher@localhost>", description="sender of every mail")

    webhook_networks: tuple[str, ...] = Field((), description="private networks that webhooks may reach all the same")
    webhook_timeout: float = Field(10.0, gt=0, description="seconds for one delivery, name and all")
    webhook_log_days: int = Field(
        30, ge=7, le=400, description="how long what was sent to webhooks can be read and replayed"
    )

    session_idle_minutes: int = Field(60, ge=5, description="a session unused for so long has ended")
    session_hours: int = Field(12, ge=1, le=24, description="every session ends after so long")
    password_memory_kib: int = Field(65536, ge=8, description="argon2id: memory of one hash")
    password_passes: int = Field(3, ge=1, description="argon2id: passes over the memory")
    password_lanes: int = Field(4, ge=1, description="argon2id: lanes")

    oidc_providers: tuple[OpenIDProvider, ...] = Field((), description="OpenID Connect: Keycloak, ProConnect…")

    display_name: str | None = Field(None, description="the territory's name on the pages; by default as declared")
    logo: Path | None = Field(None, description="SVG or PNG shown in the header; absent: the bell tower")
    primary_colour: str = Field("#1f3a4d", description="header and buttons; white text on it must be readable")
    accent_colour: str = Field("#9c4221", description="links and marks; likewise")
    contact_email: str | None = Field(None, description="whom people write to about the portal")
    contact_phone: str | None = None

    @field_validator("primary_colour", "accent_colour")
    @classmethod
    def _readable_colour(cls, value: str) -> str:
        return colours.readable(value)

    @field_validator("logo")
    @classmethod
    def _known_logo(cls, value: Path | None) -> Path | None:
        if value is not None and (value.suffix not in (".svg", ".png") or not value.is_file()):
            raise ValueError(f"{value} is no .svg or .png file")
        return value

    @field_validator("notifications_url")
    @classmethod
    def _known_feed(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.match(r"file:///.|(rabbit|kafka|fake)://", value.get_secret_value()):
            raise ValueError("file:///… or rabbit://…")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("one of DEBUG, INFO, WARNING, ERROR")
        return value.upper()

    @property
    def openstack_config(self) -> Path:
        """The clouds.yaml to read."""
        return self.clouds_file or self.state_dir / "devcloud" / "clouds.yaml"

    @property
    def territory_dir(self) -> Path:
        """Where this installation's members are declared."""
        return self.territories_dir / self.territory

    def __hash__(self) -> int:
        """What keeps something for settings finds it again by them; not all of their values can be hashed."""
        return hash((self.state_dir, self.territory))

    def sources_of(self, slug: str) -> dict[str, dict[str, str]]:
        """What plays are given of an application's archives: by version its address and its sum."""
        return {version: source.model_dump() for version, source in self.stacks_sources.get(slug, {}).items()}

    def key(self) -> bytes:
        """The installation's secret key; made on first use (mode 0600) when none is set."""
        if self.secret_key:
            return self.secret_key.get_secret_value().encode()
        path = self.state_dir / "secret.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Made whole under another name first: two processes that start together must agree on one key.
            draft = path.with_suffix(f".{secrets.token_hex(4)}")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(32))
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip().encode()

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, from the secret key: what leaks of one says nothing about another."""
        return hmac.new(self.key(), purpose.encode(), hashlib.sha256).digest()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Location().config)


@cache
def load() -> Settings:
    """Read the settings once per process; a wrong one is an `invalid_settings` error naming it."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise InvalidInput(
            "invalid_settings", Text("Réglage refusé : {wrong}", wrong=wrong), "Corrigez CLOCHER_* ou clocher.toml."
        ) from error
