"""A key that is not voted yet: the weights of its criteria, and the costs that it would share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrator.errors import InvalidInput, Number, Text
from tenants.declarations_yaml import BrokenYaml, parse
from tenants.finance import CRITERIA, WEIGHT


@dataclass(frozen=True)
class Proposal:
    """weights: by criterion, they sum to 1; pools: the codes of what it would share, none for all."""

    weights: dict[str, Decimal]
    pools: tuple[str, ...] = ()


def read(weights: Mapping[str, str], pools: Iterable[str] = ()) -> Proposal:
    """A proposal as it was typed; empty weights are none.

    Raises InvalidInput invalid_key (faults by field: weights, weights.<criterion>).
    """
    given = {criterion: text.strip() for criterion, text in weights.items() if text.strip()}
    told = Text("un poids entre 0 et 100 % est attendu, avec quatre décimales au plus")
    faults = [
        fault(f"weights.{criterion}", told if criterion in CRITERIA else Text("ce critère n’existe pas"))
        for criterion, text in given.items()
        if criterion not in CRITERIA or not re.fullmatch(WEIGHT, text)
    ]
    if not faults:
        whole = sum(map(Decimal, given.values()), Decimal(0)) * 100
        if whole != 100:
            told = Text("la somme des poids est de {found} %, au lieu de 100 %", found=Number(whole))
            faults = [fault("weights", told)]
    if faults:
        raise invalid_key(faults)
    return Proposal(
        {criterion: Decimal(given[criterion]) for criterion in CRITERIA if criterion in given}, tuple(pools)
    )


def invalid_key(faults: list[dict[str, str]]) -> InvalidInput:
    """The error of a proposal that can't be simulated."""
    first = faults[0]
    told = Text("Cette clé est refusée ({field}) : {why}.", field=first["parameter"], why=first["sentence"])
    return InvalidInput("invalid_key", told, "Corrigez-la ; rien n’a changé.", facts={"errors": faults})


def fault(field: str, sentence: str) -> dict[str, str]:
    return {"parameter": field, "code": "invalid_key", "sentence": sentence}


def from_yaml(text: str) -> Proposal:
    """`weights: {population: "0.5", equal: "0.5"}`, and `pools: [code, …]` if not all.

    Raises InvalidInput broken_yaml or invalid_key.
    """
    try:
        document, _ = parse(text)
    except BrokenYaml as error:
        told = Text("La clé ne se lit pas, ligne {line} : {why}.", line=error.line, why=error.sentence)
        raise InvalidInput("broken_yaml", told, "Corrigez la syntaxe du fichier.") from error
    weights, pools = _parts(document)
    return read(weights, pools)


def _parts(document: Any) -> tuple[dict[str, str], list[str]]:
    given = document if isinstance(document, dict) and document.keys() <= {"weights", "pools"} else {}
    weights, pools = given.get("weights"), given.get("pools") or []
    if not isinstance(weights, dict) or not isinstance(pools, list) or not _texts([*weights.values(), *pools]):
        told = Text("« weights » et ses critères sont attendus, et la liste « pools » si besoin")
        raise invalid_key([fault("weights", told)])
    return weights, pools


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
