"""The words for codes that only the DSI and finance see; they join those of `api.words`."""

from __future__ import annotations

from api.words_portal import VAT_REGIMES
from orchestrator.errors import N_

MEMBER_KINDS = {
    "commune": N_("commune"),
    "epci": N_("agglomération"),
    "syndicat": N_("syndicat"),
    "public_body": N_("établissement public"),
    "company": N_("entreprise"),
}
MEMBER_STATES = {"active": N_("actif"), "closed": N_("clos")}
ORIGINS = {"declared": N_("fichier"), "made": N_("pages")}
CHANGE_STATES = {
    "planning": N_("plan en préparation"),
    "planned": N_("à confirmer"),
    "applying": N_("en cours d’application"),
    "done": N_("appliqué"),
    "failed": N_("échoué"),
    "discarded": N_("abandonné"),
}
CHANGE_KINDS = {"edit": N_("Modification"), "close": N_("Clôture")}
FIELDS = {
    "name": N_("Nom"), "kind": N_("Nature"), "siren": N_("SIREN"), "siret": N_("SIRET"),
    "insee_code": N_("Code INSEE"), "population": N_("Population"), "contacts": N_("Contacts"),
    "admin_networks": N_("Réseaux d’administration"), "subnet_cidr": N_("Sous-réseau"), "state": N_("État"),
    "origin": N_("Géré par"), "project": N_("Projet"), "role": N_("Rôle"), "network": N_("Réseau"),
    "subnet": N_("Sous-réseau"), "router": N_("Routeur"), "interface": N_("Interface du routeur"),
    "gateway": N_("Sortie du routeur"), "security_group": N_("Groupe de sécurité"), "rule": N_("Règle"),
    "place": N_("Place dans le nuage"), "nameservers": N_("Serveurs de noms"),
}  # fmt: skip
QUOTAS = {
    "servers": N_("Machines"),
    "vcpus": N_("Processeurs"),
    "ram_mib": N_("Mémoire (Mio)"),
    "ram_gib": N_("Mémoire (Gio)"),
    "volumes": N_("Volumes"),
    "disk_gib": N_("Disque (Gio)"),
    "public_addresses": N_("Adresses publiques"),
}
OFFER_STATES = {"draft": N_("brouillon"), "published": N_("publiée"), "withdrawn": N_("retirée")}
CAPACITIES = {
    "VCPU": N_("Processeurs virtuels"),
    "MEMORY_MB": N_("Mémoire"),
    "DISK_GB": N_("Disques des hôtes"),
    "FLOATING_IP": N_("Adresses publiques"),
    "VOLUME_GB": N_("Volumes"),
}
LEVELS = {"info": N_("Information"), "warning": N_("Attention"), "danger": N_("Incident")}
ANNOUNCED = {
    "shown": N_("affichée"),
    "coming": N_("à venir"),
    "over": N_("passée"),
    "withdrawn": N_("retirée"),
}
POLICY_STATES = {
    "draft": N_("brouillon"),
    "adopted": N_("en vigueur"),
    "replaced": N_("remplacée"),
    "discarded": N_("abandonnée"),
}
APPROVAL_STEPS = {"approver": N_("valideur du membre"), "finance": N_("finances du membre"), "dsi": N_("DSI")}
CRITERIA = {
    "population": N_("Population"),
    "usage": N_("Consommations (en euros)"),
    "vcpu": N_("Processeurs employés (vCPU-heures)"),
    "equal": N_("Parts égales"),
}
CHECKS = {
    "total_is_sum_of_lines": N_("Le total est la somme des lignes"),
    "line_is_usage_times_price": N_("Une ligne est l’usage multiplié par le prix"),
    "lines_are_intervals": N_("Les lignes comptent tous les intervalles"),
    "usage_is_in_one_line": N_("Un usage est dans une ligne, et une seule"),
    "steps_are_filled": N_("La consommation d’un membre remplit les paliers dans l’ordre"),
    "fees_and_minimums_are_due": N_("Frais et minimums sont ceux qui sont dus"),
    "pool_is_sum_of_shares": N_("Un coût commun est la somme de ses quotes-parts"),
    "pool_is_sum_of_parts": N_("Un coût commun est ce qui est déclaré et la somme de ses pièces"),
    "parts_are_entries": N_("Chaque pièce compte dans le mois ce que dit son échéancier"),
    "billing_is_in_force": N_("Le mode de paiement est celui en vigueur"),
    "one_share_of_each_pool": N_("Chaque relevé a une quote-part de chaque coût commun"),
    "share_follows_the_key": N_("Une quote-part suit sa clé"),
    "cents_follow_remainders": N_("Les centimes vont aux plus grandes fractions, puis par SIREN"),
    "key_is_in_force": N_("La clé est celle en vigueur"),
    "period_is_sum_of_statements": N_("La période est la somme de ses relevés"),
    "one_price_at_every_instant": N_("Un prix, et un seul, à chaque instant"),
    "interval_is_inside_period": N_("Un intervalle est dans sa période"),
    "every_member_has_a_statement": N_("Chaque membre a un relevé"),
    "intervals_are_events": N_("Les intervalles suivent des événements"),
    "vat_follows_the_regime": N_("La TVA suit le régime du contrat et le taux en vigueur"),
    "exempt_is_billed_at_cost": N_("Un membre exonéré est facturé au coût exact"),
    "settlements_are_decided": N_("Les contestations réglées sont des lignes, et elles seules"),
    "corrections_are_events": N_("Les rectifications suivent les faits connus depuis la clôture"),
    "adjusted_usage_is_billed": N_("Un mois clos et ses rectifications comptent tout son usage"),
    "adjusted_amount_is_usage_times_price": N_("Un mois clos et ses rectifications suivent ses prix"),
    "adjusted_fees_and_minimums_are_due": N_("Un mois clos et ses rectifications ont les frais et minimums dus"),
    "one_adjustment_of_each_line": N_("Une ligne d’un mois clos est rectifiée une fois par mois"),
    "adjustment_names_its_line": N_("Une rectification nomme la ligne qu’elle rectifie"),
    "adjusted_month_is_closed": N_("Un mois rectifié est clos, et antérieur"),
    "correction_is_inside_its_month": N_("Une rectification est dans le mois qu’elle rectifie"),
}
COSTS = {
    "supplier": N_("Fournisseur"),
    "depreciation": N_("Amortissement"),
    "energy": N_("Énergie"),
    "staff": N_("Personnel"),
}
COST_FIELDS = {
    "kind": N_("Nature"),
    "pool": N_("Coût commun"),
    "label": N_("Libellé"),
    "account": N_("Compte"),
    "date": N_("Date"),
    "months": N_("Mois"),
    "amount": N_("Montant"),
    "supplier": N_("Fournisseur"),
    "reference": N_("Référence"),
    "service_model": N_("Modèle"),
    "kwh": N_("kWh"),
    "kwh_price": N_("Prix du kWh"),
    "pue": N_("PUE"),
    "annual": N_("Coût annuel"),
    "percent": N_("Quotité"),
}
FREQUENCIES = {"monthly": N_("chaque mois"), "quarterly": N_("chaque trimestre"), "yearly": N_("une fois l’an")}
FORECAST_FIELDS = {
    "member": N_("Membre"),
    "subject": N_("Objet"),
    "units": N_("Unités"),
    "first": N_("Premier mois"),
    "last": N_("Dernier mois"),
    "reference": N_("Convention"),
}
MODELS = {"iaas": N_("IaaS (infrastructure)"), "paas": N_("PaaS (plateforme)"), "saas": N_("SaaS (logiciel)")}
RATES = {
    "fctva_iaas": N_("FCTVA, nuage en IaaS"),
    "fctva_investment": N_("FCTVA, investissement"),
}
LEGAL_TEXTS = {
    **VAT_REGIMES,
    "terms": N_("Conditions de paiement"),
    "late": N_("Pénalités de retard"),
    "recovery": N_("Frais de recouvrement"),
    "discount": N_("Escompte"),
}
HOSTS = {"up": N_("en marche"), "down": N_("arrêté"), "enabled": N_("ouvert"), "disabled": N_("fermé")}
WORKERS = {"alive": N_("vivant"), "silent": N_("muet")}
# What the audit trail calls what the DSI and workers did, and to what; they join those of `api.words`.
ACTIONS = {
    "announcement.withdraw": N_("Annonce retirée"),
    "announcement.write": N_("Annonce écrite"),
    "contract.make": N_("Contrat convenu"),
    "vat.rate": N_("Taux de TVA ajouté"),
    "vat.text": N_("Mention légale ajoutée"),
    "vat.cost": N_("Coût unitaire ajouté"),
    "audit.retention": N_("Durée du journal changée"),
    "billing.call": N_("Appel de fonds émis"),
    "billing.change": N_("Mode de paiement changé"),
    "billing.forecast": N_("Unités prévues"),
    "billing.settle": N_("Année régularisée"),
    "billing.tell": N_("Coût unitaire communiqué"),
    "cost_entry.add": N_("Coût enregistré"),
    "cost_entry.end": N_("Coût arrêté"),
    "flow.cancelled": N_("Opération annulée"),
    "flow.done": N_("Opération terminée"),
    "flow.failed": N_("Opération échouée"),
    "flow.hand_over": N_("Opération prise en main"),
    "flow.retry": N_("Opération réessayée"),
    "flow.undo": N_("Opération à défaire"),
    "flow.undone": N_("Opération défaite"),
    "member.confirm": N_("Changement de membre confirmé"),
    "member.create": N_("Membre créé"),
    "member.discard": N_("Changement de membre abandonné"),
    "member.plan": N_("Changement de membre demandé"),
    "member.update": N_("Membre modifié"),
    "offer.discard": N_("Brouillon d’offre abandonné"),
    "offer.draft": N_("Brouillon d’offre"),
    "place.apply": N_("Espace du membre mis à jour"),
    "price.adopt": N_("Tarif adopté"),
    "price.discard": N_("Tarif en préparation abandonné"),
    "price.draft": N_("Tarif en préparation"),
    "service.specification": N_("Caractéristiques du service changées"),
    "service.state": N_("État du service changé"),
    "snapshot.state": N_("État de l’instantané changé"),
}
NOUNS = {
    "announcement": N_("annonce"),
    "audit": N_("journal"),
    "price draft": N_("tarif en préparation"),
    "contract": N_("contrat"),
    "due": N_("appel ou état annuel"),
    "forecast": N_("prévision"),
    "year": N_("année"),
    "vat rate": N_("taux de TVA"),
    "legal text": N_("mention légale"),
    "unit cost": N_("coût unitaire"),
}
TABLES = {
    "member_kind": MEMBER_KINDS,
    "member_state": MEMBER_STATES,
    "origin": ORIGINS,
    "change": CHANGE_STATES,
    "change_kind": CHANGE_KINDS,
    "field": FIELDS,
    "quota": QUOTAS,
    "offer": OFFER_STATES,
    "capacity": CAPACITIES,
    "level": LEVELS,
    "announced": ANNOUNCED,
    "policy": POLICY_STATES,
    "approval_step": APPROVAL_STEPS,
    "check": CHECKS,
    "criterion": CRITERIA,
    "cost": COSTS,
    "cost_field": COST_FIELDS,
    "forecast_field": FORECAST_FIELDS,
    "frequency": FREQUENCIES,
    "service_model": MODELS,
    "rate": RATES,
    "legal_text": LEGAL_TEXTS,
    "host": HOSTS,
    "worker": WORKERS,
}
