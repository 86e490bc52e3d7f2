"""The cloud: connections, the tag that says whose a thing is, and what its errors mean to us.

The only importer of openstacksdk and keystoneauth1. The calls by noun are in `cloud_servers`, `cloud_volumes` and
`cloud_network`: functions that take a `Cloud` and plain data and return plain data.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from orchestrator.errors import (
    N_,
    CloudConflict,
    CloudError,
    CloudNotFound,
    CloudQuotaExceeded,
    CloudRefused,
    CloudTokenLost,
    CloudUnavailable,
    InvalidInput,
    Text,
)
from orchestrator.settings import Settings

WAIT = N_("Rien n’est perdu ; réessayez dans quelques minutes ou prévenez la DSI.")
ASK = N_("Prévenez la DSI : elle a le détail.")


@dataclass(frozen=True)
class Tag:
    """Whose a cloud resource is: written in the call that creates it, read before another one is created.

    Servers and volumes carry it as metadata. Ports and floating IPs carry it as their description: Neutron refuses
    `tags` in the call that creates a floating IP (its API allows them only in a second call, too late for us).
    """

    territory: str
    service: str
    flow: int
    role: str = "main"

    def metadata(self) -> dict[str, str]:
        """The tag as Nova's and Cinder's metadata."""
        return {f"clocher:{key}": value for key, value in self._words()}

    def description(self) -> str:
        """The tag as Neutron's description (255 characters at most)."""
        return " ".join(f"clocher:{key}={value}" for key, value in self._words())

    def _words(self) -> list[tuple[str, str]]:
        words = {"service": self.service, "flow": str(self.flow), "territory": self.territory, "role": self.role}
        return list(words.items())

    def marks_same(self, other: Tag | None) -> bool:
        """Whether `other` marks the same part of the same service, whichever flow made it."""
        return other is not None and (self.territory, self.service, self.role) == (
            other.territory,
            other.service,
            other.role,
        )


def read_tag(marks: dict[str, str] | str | None) -> Tag | None:
    """The tag in a resource's metadata or description; None when the resource is not ours."""
    if not isinstance(marks, dict):
        marks = dict(word.split("=", 1) for word in (marks or "").split() if "=" in word)
    try:
        return Tag(
            marks["clocher:territory"],
            marks["clocher:service"],
            int(marks["clocher:flow"]),
            marks["clocher:role"],
        )
    except (KeyError, ValueError):
        return None


@dataclass
class Cloud:
    """The cloud as one account sees it in one project. Safe to share between threads.

    connection: openstacksdk's, for the `cloud_*` and `places` modules only; use it inside `translated()`.
    """

    connection: Any
    settings: Settings
    _projects: dict[str, Cloud] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def domain(self) -> Cloud:
        """The same account with a token for the domain that holds the members' projects."""
        with translated():
            name = self.settings.cloud_domain
            return Cloud(self.connection.connect_as(domain_name=name, project_name=None), self.settings)

    def project(self, project_id: str) -> Cloud:
        """The same account with a token for another project; kept, so that a token serves many calls."""
        with self._lock:
            if project_id not in self._projects:
                with translated():
                    scoped = self.connection.connect_as(project_id=project_id)
                self._projects[project_id] = Cloud(scoped, self.settings)
            return self._projects[project_id]

    def project_ids(self) -> list[str]:
        """The projects where the account has a role: the members' places, and its own."""
        with translated():
            answer = self.connection.identity.get("/auth/projects")
            sdk.raise_from_response(answer)
            return [project["id"] for project in answer.json()["projects"]]

    def forget(self, project_id: str) -> None:
        """Drop what is kept of a project, so that the next call takes a new token."""
        with self._lock:
            self._projects.pop(project_id, None)


def connect(settings: Settings) -> Cloud:
    """The cloud as the orchestrator's control account (`settings.cloud` in clouds.yaml). Does not call it yet.

    Every later call has `settings.cloud_timeout` seconds to connect and between two packets of the answer.
    """
    path = settings.openstack_config
    if not path.exists():
        raise _misconfigured(Text("{path} n’existe pas.", path=path))
    try:
        config = OpenStackConfig(config_files=[str(path)], load_envvars=False)
        region = config.get_one(settings.cloud, api_timeout=settings.cloud_timeout)
        # A service that can't be discovered must be an error, never a guess.
        return Cloud(Connection(config=region, strict_proxies=True), settings)
    except (sdk.SDKException, keystone.ClientException, ValueError, TypeError) as error:
        raise _misconfigured(
            Text("{path} ne décrit pas le nuage « {cloud} ».", path=path, cloud=settings.cloud), str(error)
        ) from error


def _misconfigured(sentence: str, detail: str = "") -> InvalidInput:
    return InvalidInput(
        "cloud_not_configured", sentence, "Démarrez le nuage d’essai ou corrigez CLOCHER_CLOUDS_FILE.", detail=detail
    )


def fetch(service: Any, path: str, *, microversion: str | None = None) -> Any:
    """The JSON at a path of a service, where the SDK has no call of its own. Use it inside `translated()`."""
    answer = service.get(path, microversion=microversion)
    sdk.raise_from_response(answer)
    return answer.json()


@contextmanager
def translated() -> Iterator[None]:
    """Turn what openstacksdk and keystoneauth1 raise in this block into our errors."""
    try:
        yield
    except (sdk.SDKException, keystone.ClientException) as error:
        raise translate(error) from error


def translate(error: Exception) -> CloudError:
    """Our error for one of the SDK's: what it means, what to do, whether to try again."""
    detail = str(error) or type(error).__name__
    status = getattr(error, "status_code", None) or getattr(error, "http_status", None) or 0
    if isinstance(error, keystone.ConnectTimeout | keystone.RequestTimeout) or status in {408, 504}:
        return CloudUnavailable("cloud_timeout", "Le nuage n’a pas répondu à temps.", WAIT, detail=detail)
    if status == 401 or isinstance(error, keystone.AuthorizationFailure):
        return CloudTokenLost("cloud_token_lost", "Le nuage n’accepte plus notre jeton d’accès.", ASK, detail=detail)
    if status in {403, 409, 413} and "quota" in detail.lower():
        return CloudQuotaExceeded(
            "cloud_quota_exceeded",
            "Le quota du nuage est atteint.",
            "Supprimez un service inutile ou demandez un quota plus grand à la DSI.",
            detail=detail,
        )
    if status == 404:
        return CloudNotFound("cloud_not_found", "Le nuage ne connaît pas cette ressource.", ASK, detail=detail)
    if status == 409:
        return CloudConflict("cloud_conflict", "La ressource est occupée dans le nuage.", WAIT, detail=detail)
    if status == 501:
        return CloudRefused("cloud_not_offered", "Ce nuage n’offre pas cette fonction.", ASK, detail=detail)
    if status >= 500 or status == 429 or isinstance(error, UNREACHED):
        return CloudUnavailable("cloud_unavailable", "Le nuage ne répond pas correctement.", WAIT, detail=detail)
    return CloudRefused("cloud_refused", "Le nuage a refusé la demande.", ASK, detail=detail)


# Errors without a status that come from a cloud we could not reach or understand, not from what we asked.
UNREACHED = (
    keystone.ConnectionError,
    keystone.DiscoveryFailure,
    keystone.CatalogException,
    keystone.InvalidResponse,
    sdk.EndpointNotFound,
    sdk.InvalidResponse,
    sdk.ServiceDiscoveryException,
)


def instant(text: str | None) -> datetime | None:
    """OpenStack's instants are UTC, mostly without saying so."""
    if not text:
        return None
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)
