"""What a service is made of as a whole, what a member may want changed of it, and what that does, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from orchestrator.errors import Conflict, InvalidInput, Number, Text
from orchestrator.tables import Flow, Service
from tenants import answering, catalogue
from tenants.tables import MAKING, Offer, Order

MAIN = "main"  # the volume that was ordered with the service
MOST_VOLUMES = 8
LARGEST_GIB = 2000


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WantedOffer(_Wanted):
    """Another size."""

    offer: Annotated[str, Field(max_length=40)]


class WantedVolume(_Wanted):
    """A volume of this name and size in GiB: a new one, a bigger one, or none for 0."""

    volume: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$")] = MAIN
    disk_gib: Annotated[int, Field(ge=0, le=LARGEST_GIB)]


class WantedAddress(_Wanted):
    """With or without a public address."""

    public_address: bool


class WantedAnswers(_Wanted):
    """Other answers to what the application asks, by name of parameter; what is not named stays."""

    answers: Annotated[dict[str, Any], Field(min_length=1, max_length=50)]


Wanted = WantedOffer | WantedVolume | WantedAddress | WantedAnswers
BY_KEY: dict[str, type[Wanted]] = {
    "offer": WantedOffer,
    "disk_gib": WantedVolume,
    "public_address": WantedAddress,
    "answers": WantedAnswers,
}
KINDS: dict[type[_Wanted], str] = {
    WantedOffer: "resize", WantedVolume: "volume", WantedAddress: "address", WantedAnswers: "parameters",
}  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """A service's offer, the sizes of its volumes in GiB by name, whether it has a public address, and what its
    application was answered.
    """

    offer: Offer
    volumes: Mapping[str, int]
    public_address: bool
    answers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """Counts by quota."""
        return {
            "servers": 1,
            "vcpus": self.offer.vcpus,
            "ram_mib": self.offer.ram_mib,
            "volumes": len(self.volumes),
            "disk_gib": sum(self.volumes.values()),
            "public_addresses": int(self.public_address),
        }

    @property
    def components(self) -> dict[str, Decimal]:
        """Quantities by meter, while it serves."""
        return catalogue.components(self.offer, sum(self.volumes.values()), self.public_address)


def read(given: Mapping[str, Any]) -> Wanted:
    """What is wanted: `{offer}`, `{disk_gib}` with `{volume}` if not the first, `{public_address}` or `{answers}`.

    One thing at a time: each is one operation on the service. Raises InvalidInput invalid_change.
    """
    named = [key for key in BY_KEY if key in given]
    if len(named) != 1:
        raise _invalid(Text("Demandez une offre, un volume, une adresse ou des réponses, une chose à la fois."))
    try:
        return BY_KEY[named[0]].model_validate(dict(given))
    except ValidationError as error:
        where = ", ".join(str(fault["loc"][0]) for fault in error.errors(include_url=False) if fault["loc"])
        raise _invalid(Text("La demande n’est pas recevable : {where}.", where=where)) from error


def _invalid(sentence: str) -> InvalidInput:
    return InvalidInput("invalid_change", sentence, "Corrigez la demande ; rien n’a changé.")


def settled(session: Session, service: Service) -> Order:
    """The order that says what the service is made of now: the last one that was carried out."""
    query = (
        sa.select(Order)
        .outerjoin(Flow, Flow.id == Order.flow_id)
        .where(
            Order.service_id == service.id,
            Order.state == "approved",
            Order.kind.in_(MAKING) | (Flow.state == "done"),
        )
        .order_by(Order.id.desc())
        .limit(1)
    )
    found = session.scalar(query)
    if found is None:
        raise Conflict("not_ordered", Text("« {name} » ne vient pas d’une commande.", name=service.name))
    return found


def of(session: Session, order: Order) -> Whole:
    """What the service is made of by this order."""
    chosen = order.parameters
    volumes = chosen.get("volumes", {MAIN: chosen.get("disk_gib", 0)})
    return Whole(
        session.get_one(Offer, order.offer_id),
        {name: gib for name, gib in volumes.items() if gib},
        bool(order.public_addresses),
    )


def change(session: Session, service: Service, before: Whole, wanted: Wanted) -> Whole:
    """The whole that comes of it. Raises InvalidInput unknown_offer, nothing_changes, volume_shrinks, …"""
    if isinstance(wanted, WantedOffer):
        after = replace(before, offer=_offer(session, before.offer, wanted.offer))
    elif isinstance(wanted, WantedVolume):
        if before.offer.stack and wanted.volume == MAIN and not wanted.disk_gib:
            raise _invalid(Text("L’application garde ses données sur ce volume : il ne se retire pas."))
        after = replace(before, volumes=_volumes(before.volumes, wanted))
    elif isinstance(wanted, WantedAnswers):
        after = replace(before, answers=answering.read(session, service, wanted.answers))
    else:
        after = replace(before, public_address=wanted.public_address)
    if after == before:
        raise InvalidInput("nothing_changes", "Le service est déjà ainsi.", "Demandez autre chose.")
    return after


def _offer(session: Session, present: Offer, slug: str) -> Offer:
    offer = catalogue.find(session, slug)
    if not same_family(offer.kind, offer.stack, present):
        raise _invalid(Text("« {offer} » n’est pas une autre taille de cette offre.", offer=slug))
    # A newer version of the same size changes nothing in the cloud.
    return present if (offer.flavor, offer.vcpus, offer.ram_mib) == _made_of(present) else offer


def same_family(kind: str, stack: Mapping[str, Any] | None, present: Offer) -> bool:
    """Whether an offer is another size of `present`: both machines, or both of one stack."""
    return (kind, (stack or {}).get("slug")) == (present.kind, (present.stack or {}).get("slug"))


def _made_of(offer: Offer) -> tuple[str, int, int]:
    return offer.flavor, offer.vcpus, offer.ram_mib


def _volumes(present: Mapping[str, int], wanted: WantedVolume) -> dict[str, int]:
    size = present.get(wanted.volume, 0)
    if 0 < wanted.disk_gib < size:
        raise InvalidInput(
            "volume_shrinks",
            Text("Un volume ne rétrécit pas : « {name} » fait {size} Gio.", name=wanted.volume, size=Number(size)),
            "Ajoutez un volume plus petit, copiez-y les données, puis retirez celui-ci.",
            facts={"size": size},
        )
    volumes = {**present, wanted.volume: wanted.disk_gib}
    volumes = {name: gib for name, gib in volumes.items() if gib}
    if len(volumes) > MOST_VOLUMES:
        raise InvalidInput(
            "too_many_volumes",
            Text("Un service a {most} volumes au plus.", most=MOST_VOLUMES),
            "Agrandissez-en un, ou retirez-en un.",
        )
    return volumes


def takes_away(before: Whole, after: Whole) -> bool:
    """Whether something is lost or smaller afterwards: what protection refuses."""
    smaller = after.offer.vcpus < before.offer.vcpus or after.offer.ram_mib < before.offer.ram_mib
    return smaller or set(before.volumes) > set(after.volumes) or before.public_address > after.public_address


def effects(before: Whole, after: Whole, *, stopped: bool) -> list[Text]:
    """What carrying it out does to the service, in sentences: interruption, what is kept, what is lost."""
    if before.offer is not after.offer:
        return _resize_effects(before.offer, after.offer, stopped=stopped)
    if before.volumes != after.volumes:
        return _volume_effects(before.volumes, after.volumes)
    if after.public_address:
        return [
            Text("La machine devient joignable depuis l’extérieur, sous les règles de son pare-feu."),
            Text("Aucune interruption."),
        ]
    return [
        Text("La machine n’est plus joignable depuis l’extérieur."),
        Text("L’adresse est rendue : vous n’êtes pas sûr de retrouver la même."),
    ]


def _resize_effects(before: Offer, after: Offer, *, stopped: bool) -> list[Text]:
    told = [
        Text("La machine est arrêtée : elle prend sa nouvelle taille sans interruption de plus.")
        if stopped
        else Text("La machine s’arrête et redémarre : comptez une à deux minutes d’interruption."),
        Text("Disques, adresses et données sont gardés ; si elle ne redémarre pas, sa taille d’avant lui est rendue."),
    ]
    if after.ram_mib < before.ram_mib:
        told.append(Text("Vérifiez que vos programmes tiennent dans {ram} Mio de mémoire.", ram=Number(after.ram_mib)))
    return told


def _volume_effects(before: Mapping[str, int], after: Mapping[str, int]) -> list[Text]:
    for name, gib in before.items():
        if name not in after:
            return [
                Text("Toutes les données du disque de données ({size} Gio) sont perdues.", size=Number(gib))
                if name == "main"
                else Text(
                    "Toutes les données du volume « {name} » ({size} Gio) sont perdues.", name=name, size=Number(gib)
                ),
                Text("Les instantanés de la machine n’en gardent pas de copie."),
            ]
    [(name, gib)] = [(name, gib) for name, gib in after.items() if before.get(name) != gib]
    if name in before:
        sizes = {"before": Number(before[name]), "after": Number(gib)}
        return [
            Text("Le disque de données passe de {before} à {after} Gio.", **sizes)
            if name == "main"
            else Text("Le volume « {name} » passe de {before} à {after} Gio.", name=name, **sizes),
            Text("Les données sont gardées. Un volume ne rétrécit pas ensuite."),
        ]
    return [
        Text("Un volume vide « {name} » de {size} Gio est attaché et monté.", name=name, size=Number(gib)),
        Text("Aucune interruption."),
    ]
