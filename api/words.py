"""The words for our codes: states, kinds, steps, roles. French is written here; English is in `translations/`.

`api.language.word(code, table)` gives a word in the reader's language; in templates: `{{ flow.state | word('flow') }}`.
The tasks of our plays have English names; `playbooks/tasks.fr.yml` says them in French: `{{ event.task | task }}`.
"""

from __future__ import annotations

from functools import cache

import yaml

from api.words_admin import ACTIONS as ADMIN_ACTIONS
from api.words_admin import NOUNS as ADMIN_NOUNS
from api.words_admin import TABLES as ADMIN
from api.words_portal import ACTIONS as PORTAL_ACTIONS
from api.words_portal import TABLES as PORTAL
from orchestrator.errors import N_
from orchestrator.settings import ROOT
from tenants import energy

SERVICE_STATES = {
    "creating": N_("en création"),
    "active": N_("en service"),
    "stopping": N_("en cours d’arrêt"),
    "stopped": N_("arrêté"),
    "starting": N_("en démarrage"),
    "rebooting": N_("en redémarrage"),
    "resizing": N_("en changement de taille"),
    "restoring": N_("en restauration"),
    "moving": N_("en transfert vers un autre membre"),
    "deleting": N_("en suppression"),
    "deleted": N_("supprimé"),
    "failed": N_("échec"),
    "outside": N_("fait hors Clocher"),
}
FLOW_STATES = {
    "queued": N_("en file d’attente"),
    "running": N_("en cours"),
    "held": N_("prise en main par la DSI"),
    "undoing": N_("retour en arrière"),
    "done": N_("terminé"),
    "failed": N_("échoué"),
    "cancelled": N_("annulé"),
}
FLOW_KINDS = {
    "create_server": N_("Création"),
    "delete_server": N_("Suppression"),
    "stop_server": N_("Arrêt"),
    "start_server": N_("Démarrage"),
    "reboot_server": N_("Redémarrage"),
    "resize_server": N_("Changement de taille"),
    "rename_server": N_("Changement de nom"),
    "add_volume": N_("Ajout d’un volume"),
    "grow_volume": N_("Agrandissement d’un volume"),
    "remove_volume": N_("Retrait d’un volume"),
    "add_address": N_("Ajout d’une adresse publique"),
    "remove_address": N_("Retrait de l’adresse publique"),
    "replace_keys": N_("Remplacement des clés SSH"),
    "snapshot_server": N_("Instantané"),
    "delete_snapshot": N_("Suppression d’un instantané"),
    "restore_server": N_("Restauration"),
    "renew_secret": N_("Renouvellement d’un secret"),
    "backup_service": N_("Sauvegarde"),
    "restore_service": N_("Restauration d’une sauvegarde"),
    "restore_files": N_("Reprise de fichiers d’une sauvegarde"),
    "upgrade_service": N_("Mise à jour de l’application"),
    "prove_backup": N_("Restauration d’essai"),
    "tend_vault": N_("Entretien du coffre de sauvegarde"),
    "export_service": N_("Export des données"),
    "count_service": N_("Comptage"),
    "change_parameters": N_("Changement de réglages"),
    "check_drift": N_("Comparaison à la configuration"),
    "repair_drift": N_("Remise en conformité"),
    "move_service": N_("Reprise d’un autre membre"),
}
STEPS = {
    "project": N_("Préparer l’espace du membre"),
    "port": N_("Brancher le réseau"),
    "volume": N_("Volume de données"),
    "server": N_("Machine"),
    "address": N_("Adresse publique"),
    "build": N_("Attendre le démarrage"),
    "attach": N_("Attacher le volume"),
    "configure": N_("Configurer le système"),
    "health": N_("Vérifier la santé"),
    "answer": N_("Vérifier que l’application répond"),
    "routes": N_("Donner son adresse web"),
    "url": N_("Vérifier l’adresse web"),
    "rename": N_("Changer de nom"),
    "bring": N_("Reprendre les données de l’original"),
    "adapt": N_("Appliquer les mots de passe d’ici"),
    "close": N_("Fermer l’ancien service"),
    "off": N_("Prévenir les visiteurs de l’ancien service"),
    "readdress": N_("Configurer le nouveau nom"),
    "secrets": N_("Préparer les mots de passe"),
    "secret": N_("Préparer le nouveau secret"),
    "activate": N_("Mettre en service"),
    "release": N_("Libérer ce qui était réservé"),
    "rest": N_("Mettre au repos"),
    "stop": N_("Arrêter"),
    "start": N_("Démarrer"),
    "mount": N_("Monter les volumes"),
    "unmount": N_("Démonter le volume"),
    "detach": N_("Détacher le volume"),
    "extend": N_("Agrandir le volume"),
    "reboot": N_("Redémarrer"),
    "resize": N_("Changer de taille"),
    "confirm": N_("Garder la nouvelle taille"),
    "hostname": N_("Nommer la machine"),
    "name": N_("Nommer le serveur dans le nuage"),
    "keys": N_("Écrire les clés"),
    "check": N_("Vérifier que c’est possible"),
    "flush": N_("Écrire sur les disques"),
    "keep": N_("Copier un volume"),
    "image": N_("Copier le disque du système"),
    "ready": N_("Enregistrer l’instantané"),
    "mark": N_("Retirer l’instantané de la liste"),
    "parts": N_("Supprimer l’instantané"),
    "snapshot": N_("Supprimer un instantané"),
    "rebuild": N_("Refaire le système depuis l’instantané"),
    "copy": N_("Refaire un volume depuis l’instantané"),
    "vault": N_("Trouver le coffre"),
    "upgrade": N_("Mettre l’application à jour"),
    "count": N_("Compter ce que l’application contient"),
    "trial": N_("Restaurer dans une machine d’essai, puis la retirer"),
    "backup": N_("Copier les données dans le coffre"),
    "prune": N_("Effacer les sauvegardes dépassées"),
    "restore": N_("Reprendre les données dans le coffre"),
    "clients": N_("Ouvrir le coffre à ses services"),
    "forget": N_("Effacer les sauvegardes des services supprimés"),
    "export": N_("Écrire les données dans des formats ouverts"),
    "fetch": N_("Réunir données et papiers en une archive"),
    "compare": N_("Comparer à la configuration"),
    "replace": N_("Mettre les volumes refaits à la place des autres"),
}
STEP_STATES = {"running": N_("en cours"), "done": N_("fait"), "failed": N_("échoué"), "undone": N_("défait")}
ORDER_STATES = {
    "waiting": N_("en attente de validation"),
    "approved": N_("acceptée"),
    "rejected": N_("refusée"),
    "cancelled": N_("annulée"),
    "expired": N_("expirée"),
}
OUTCOMES = {
    "started": N_("en cours"),
    "ok": N_("inchangé"),
    "changed": N_("fait"),
    "skipped": N_("sans objet"),
    "failed": N_("échoué"),
    "unreachable": N_("injoignable"),
    "ignored": N_("passé outre"),
}
PERIOD_STATES = {"open": N_("en cours"), "draft": N_("projet"), "checked": N_("vérifié"), "closed": N_("clos")}
# What the audit trail calls what was done, to whom, by whom.
ACTIONS = {
    **PORTAL_ACTIONS,
    **ADMIN_ACTIONS,
    "account.arrive": N_("Personne arrivée par un fournisseur d’identité"),
    "account.link": N_("Identité reliée"),
    "account.recovery_code": N_("Code de secours employé"),
    "account.second_factor": N_("Double authentification changée"),
    "account.sign_in": N_("Connexion"),
    "account.sign_out": N_("Session fermée"),
    "account.accept": N_("Invitation acceptée"),
    "account.close": N_("Compte fermé"),
    "account.invite": N_("Invitation envoyée"),
    "account.password": N_("Mot de passe changé"),
    "account.rename": N_("Compte renommé"),
    "account.reset": N_("Mot de passe redemandé"),
    "account.roles": N_("Rôles changés"),
    "account.act_for": N_("Changement de collectivité"),
    "approval.grant": N_("Étape validée"),
    "approval.remind": N_("Rappel envoyé"),
    "approval.take_back": N_("Décision reprise"),
    "console.ask": N_("Console lue"),
    "cloud.found": N_("Trouvé dans le nuage, fait hors Clocher"),
    "cloud.corrected": N_("Compté d’après le nuage"),
    "cloud.swept": N_("Reste retiré du nuage"),
    "flow.cancel": N_("Annulation demandée"),
    "flow.hold": N_("Opération confiée à quelqu’un"),
    "key.add": N_("Clé de répartition adoptée"),
    "member.add": N_("Membre ajouté"),
    "member.change": N_("Membre changé"),
    "member.close": N_("Membre fermé"),
    "member.fail": N_("Changement de membre échoué"),
    "offer.publish": N_("Offre publiée"),
    "offer.withdraw": N_("Offre retirée"),
    "order.approve": N_("Commande acceptée"),
    "order.cancel": N_("Commande annulée"),
    "order.expire": N_("Commande expirée"),
    "order.place": N_("Commande passée"),
    "order.reject": N_("Commande refusée"),
    "period.check": N_("Période contrôlée"),
    "period.close": N_("Période close"),
    "period.draft": N_("Période établie"),
    "place.remove": N_("Espace retiré"),
    "policy.adopt": N_("Politique adoptée"),
    "policy.discard": N_("Projet de politique abandonné"),
    "policy.draft": N_("Projet de politique"),
    "price.add": N_("Tarif publié"),
    "sample.invent": N_("Mois d’exemple inventé"),
    "service.delete": N_("Suppression demandée"),
    "service.rename": N_("Service renommé"),
    "service.start": N_("Démarrage demandé"),
    "service.stop": N_("Arrêt demandé"),
    "statement.close": N_("Relevé clos"),
    "usage.verify": N_("Heures comparées à celles de Nova"),
    "dispute.open": N_("Ligne contestée"),
    "dispute.answer": N_("Contestation répondue"),
    "dispute.settle": N_("Contestation réglée"),
    "dispute.reject": N_("Contestation rejetée"),
    "dispute.withdraw": N_("Contestation retirée"),
    "token.make": N_("Jeton créé"),
    "token.revoke": N_("Jeton révoqué"),
    "budget.reach": N_("Seuil de budget atteint"),
    "deputy.appoint": N_("Suppléance donnée"),
    "deputy.end": N_("Suppléance finie"),
    "mail.retry": N_("Courriel renvoyé"),
    "notice.choose": N_("Choix des courriels"),
    "webhook.add": N_("Abonnement ajouté"),
    "webhook.change": N_("Abonnement changé"),
    "webhook.disable": N_("Abonnement désactivé"),
    "webhook.enable": N_("Abonnement activé"),
    "webhook.remove": N_("Abonnement retiré"),
    "webhook.replay": N_("Envois rejoués"),
    "webhook.rotate": N_("Secret de l’abonnement changé"),
    "webhook.test": N_("Abonnement essayé"),
}
DISPUTE_STATES = {
    "open": N_("ouverte"),
    "answered": N_("répondue"),
    "settled": N_("réglée"),
    "rejected": N_("rejetée"),
    "withdrawn": N_("retirée"),
}
ACCOUNT_STATES = {
    "invited": N_("invité"),
    "pending": N_("en attente d’un rôle"),
    "active": N_("actif"),
    "closed": N_("fermé"),
}
NOUNS = {
    **ADMIN_NOUNS,
    "account": N_("compte"),
    "flow": N_("opération"),
    "key": N_("clé"),
    "member": N_("membre"),
    "offer": N_("offre"),
    "order": N_("commande"),
    "period": N_("période"),
    "policy": N_("règle automatique"),
    "price": N_("tarif"),
    "service": N_("service"),
    "snapshot": N_("instantané"),
    "backup": N_("sauvegarde"),
    "export": N_("export"),
    "statement": N_("relevé"),
    "dispute": N_("contestation"),
    "token": N_("jeton"),
    "worker": N_("exécutant"),
    "budget": N_("budget"),
    "deputy": N_("suppléance"),
    "mail": N_("courriel"),
    "webhook": N_("abonnement"),
}
# Why what we bill in full of a server is not what Nova counts.
USAGE_REASONS = {
    "starting": N_("facturé dès sa mise en service, compté par Nova dès son lancement"),
    "stopped": N_("arrêté : au tarif des serveurs arrêtés, et Nova compte l’existence"),
    "failed": N_("création échouée : rien n’est facturé"),
    "relaunched": N_("redimensionné ou refait : Nova recommence alors son compte"),
    "built_before": N_("lancé, selon Nova, avant que nous ne comptions"),
    "built_after": N_("lancé, selon Nova, après que nous avons compté"),
    "deleted_before": N_("supprimé, selon Nova, pendant que nous comptions encore"),
    "moved": N_("supprimé après son passage à un autre membre, à qui l’on ne facture que le nouveau"),
    "deleted_after": N_("compté par Nova après sa suppression notée chez nous"),
    "unlaunched": N_("connu de nous, mais son lancement n’a pas été noté"),
    "unknown": N_("inconnu de nous : fait à la main dans l’espace du membre"),
    "missing": N_("inconnu de Nova : jamais lancé, ou effacé de ses archives"),
    "unexplained": N_("les heures de Nova ne suivent pas de ses propres instants"),
}
CONFORMITY = {"none": N_("non conforme"), "partial": N_("partiellement conforme"), "full": N_("totalement conforme")}
WORDS = {
    "account": ACCOUNT_STATES,
    "action": ACTIONS,
    "noun": NOUNS,
    "conformity": CONFORMITY,
    "factor": energy.LABELS,
    "basis": energy.BASES,
    "period": PERIOD_STATES,
    "usage_reason": USAGE_REASONS,
    "dispute": DISPUTE_STATES,
    "outcome": OUTCOMES,
    "service": SERVICE_STATES,
    "flow": FLOW_STATES,
    "kind": FLOW_KINDS,
    "step": STEPS,
    "step_state": STEP_STATES,
    "order": ORDER_STATES,
    **PORTAL,
    **ADMIN,
}
# How a state feels, for its badge's colour and sign; what is in no set is neutral.
GOOD = {
    "active", "done", "approved", "closed", "ok", "changed", "same", "published", "delivered", "sent", "ready",
    "adopted", "up", "alive", "shown", "enabled", "in_time",
}  # fmt: skip
BUSY = {
    "creating", "starting", "stopping", "deleting", "running", "queued", "undoing", "draft", "checked", "resizing",
    "rebooting", "restoring", "moving", "making", "started", "planning", "applying",
}  # fmt: skip
WAITING = {"outside", "waiting", "held", "pending", "open", "invited", "expiring", "planned", "coming", "uncounted"}
BAD = {
    "differs", "failed", "rejected", "unreachable", "error", "expired", "revoked", "locked", "down", "silent",
    "too_old",
}  # fmt: skip


def mood(code: str) -> str:
    """good, busy, waiting, bad or still."""
    moods = (("good", GOOD), ("busy", BUSY), ("waiting", WAITING), ("bad", BAD))
    return next((name for name, codes in moods if code in codes), "still")


def split(code: str, table: str) -> tuple[str, list[str]]:
    """A code and what of it is a name, not a word: the step `volume photos` is the step `volume` for `photos`."""
    if code in WORDS[table]:
        return code, []
    noun, *rest = code.split(" ", 1)
    return (noun, [f"({name})" for name in rest]) if noun in WORDS[table] else (code, [])


def french(code: str, table: str) -> str:
    """The French word of a code, for the terminal; a code that is not in the table is shown as it is."""
    noun, rest = split(code, table)
    return " ".join([WORDS[table].get(noun, noun), *rest])


@cache
def tasks() -> dict[str, str]:
    """What the tasks of our plays are called in French, by their names."""
    told: dict[str, str] = yaml.safe_load((ROOT / "playbooks" / "tasks.fr.yml").read_text())
    return told


def task(name: str) -> str | None:
    """A task's French words; None for one that is not of our plays, such as those of a stack from outside."""
    return tasks().get(name.partition(" against arg spec ")[0])  # Ansible's own, before a role: it names the role's aim
