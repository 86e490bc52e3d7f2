"""Settings: environment variables `CLOCHER_*`, or a TOML file (`CLOCHER_CONFIG`, by default `clocher.toml`)."""

from __future__ import annotations

import secrets
from functools import cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from orchestrator.errors import InvalidInput

ROOT = Path(__file__).resolve().parent.parent


class Location(BaseSettings):
    """Where the TOML file lies; apart, because it must be known before the settings are read."""

    model_config = SettingsConfigDict(env_prefix="CLOCHER_", extra="ignore")
    config: Path = Path("clocher.toml")


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
    cloud_timeout: float = Field(30.0, gt=0, description="seconds for one call")
    build_timeout: float = Field(300.0, gt=0, description="seconds for a server or volume to be built")

    worker_id: str = Field("worker-1", pattern=r"^[a-z0-9-]{1,40}$", description="stable name of this worker")
    flows_per_member: int = Field(3, ge=1)
    flows_total: int = Field(12, ge=1)
    heartbeat_seconds: float = Field(2.0, gt=0)
    dead_after_seconds: float = Field(15.0, gt=0, description="a worker silent for so long is taken over")
    sweep_seconds: float = Field(60.0, gt=0, description="how often the cloud is searched for what belongs to nothing")
    sweep_patience_seconds: float = Field(300.0, gt=0, description="it is deleted if seen again so much later")
    configure_timeout: float = Field(900.0, gt=0, description="seconds to configure a guest, all tries together")
    ssh_timeout: float = Field(120.0, gt=0, description="seconds until a new guest must answer on SSH")

    listen_host: str = "127.0.0.1"
    listen_port: int = 8080

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
            "invalid_settings", f"Réglage refusé : {wrong}", "Corrigez CLOCHER_* ou clocher.toml."
        ) from error
