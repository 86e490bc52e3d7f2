"""The words for codes that the portal's pages show beside those of `api.words`: orders, meters, events, webhooks."""

from __future__ import annotations

from orchestrator.errors import N_

ORDER_KINDS = {
    "create": N_("Nouveau service"),
    "clone": N_("Copie d’essai"),
    "move": N_("Reprise d’un autre membre"),
    "resize": N_("Changement de taille"),
    "volume": N_("Changement d’un volume"),
    "address": N_("Changement d’adresse publique"),
    "parameters": N_("Changement de réglages"),
}
APPROVAL_STATES = {
    "waiting": N_("à venir"),
    "present": N_("attendu"),
    "granted": N_("accordé"),
    "refused": N_("refusé"),
    "skipped": N_("sans objet"),
    "expired": N_("délai passé"),
}
METERS = {
    "server": N_("Serveur (comparaison)"),
    "vcpu": N_("Processeur virtuel"),
    "ram": N_("Mémoire vive"),
    "vcpu_stopped": N_("Processeur virtuel, serveur arrêté"),
    "ram_stopped": N_("Mémoire vive, serveur arrêté"),
    "volume": N_("Volume de données"),
    "public_address": N_("Adresse publique"),
    "snapshot": N_("Instantané"),
    "activation": N_("Mise en service d’une machine"),
    "activation_application": N_("Mise en service d’une application"),
    "minimum_service": N_("Minimum par service"),
    "minimum_member": N_("Minimum par membre"),
}
UNITS = {
    "GiB": N_("Gio"),
    "address": N_("adresse"),
    "vCPU": N_("vCPU"),
    "server": N_("serveur"),
    "service": N_("service"),
    "member": N_("membre"),
}
LIMITS = {
    "servers": N_("Machines"),
    "vcpus": N_("Processeurs"),
    "ram_mib": N_("Mémoire"),
    "volumes": N_("Volumes"),
    "disk_gib": N_("Disques"),
    "public_addresses": N_("Adresses publiques"),
    "monthly": N_("Budget d’un mois"),
}
RESOURCES = {
    "server": N_("Machine"),
    "volume": N_("Volume"),
    "port": N_("Carte réseau"),
    "floating_ip": N_("Adresse publique"),
    "image": N_("Instantané du disque du système"),
    "volume_snapshot": N_("Instantané d’un volume"),
}
EVENT_SOURCES = {
    "flow": N_("Clocher"),
    "reconcile": N_("lecture du nuage"),
    "notification": N_("notification du nuage"),
}
EVENTS = {
    "created": N_("créé"),
    "launched": N_("lancé"),
    "serving": N_("mis en service"),
    "stopped": N_("arrêté"),
    "started": N_("démarré"),
    "resized": N_("changé de taille"),
    "deleted": N_("supprimé"),
}
SNAPSHOTS = {
    "making": N_("en cours"),
    "ready": N_("prêt"),
    "deleting": N_("en suppression"),
    "deleted": N_("supprimé"),
    "failed": N_("échoué"),
}
BACKUPS = {
    "making": N_("en cours"),
    "ready": N_("bonne"),
    "deleted": N_("effacée"),
    "failed": N_("échouée"),
}
EXPORTS = {
    "making": N_("en cours"),
    "ready": N_("prêt"),
    "removed": N_("retiré"),
    "failed": N_("échoué"),
}
# What became of a deleted service's repository in the vault.
REPOSITORIES = {
    "none": N_("il n’y en a jamais eu"),
    "locked": N_("ses clés sont détruites, personne ne peut plus l’ouvrir ; le coffre l’efface ensuite"),
    "erased": N_("effacé du coffre"),
}
CERTIFICATES = {
    "": N_("en ordre"),
    "missing": N_("absent"),
    "expired": N_("expiré"),
    "late": N_("bientôt expiré"),
    "refused": N_("en ordre ; renouvellement refusé"),
}
DRIFTS = {
    "same": N_("conforme"),
    "differs": N_("écart"),
    "unknown": N_("inconnu"),
}
OLDEST = {"in_time": N_("à temps"), "too_old": N_("trop ancien"), "uncounted": N_("à vérifier")}
DEADLINES = {"ahead": N_("à venir"), "soon": N_("bientôt"), "over": N_("passée")}
DIFFERENCES = {
    "changes": N_("serait changé"),
    "secret": N_("serait changé ; le contenu, secret, n’est pas montré"),
    "fails": N_("ne peut pas être prévu : cette tâche échouerait, et la suite n’a pas été comparée"),
}
ACTS = {
    "start": N_("Démarrer"),
    "stop": N_("Arrêter"),
    "reboot": N_("Redémarrer"),
    "resize": N_("Changer de taille"),
    "volume": N_("Disques et volumes"),
    "address": N_("Adresse publique"),
    "parameters": N_("Réglages de l’application"),
    "keys": N_("Clés SSH"),
    "rename": N_("Renommer"),
    "snapshot": N_("Faire un instantané"),
    "restore": N_("Restaurer un instantané"),
    "schedule": N_("Instantanés programmés"),
    "protect": N_("Protéger"),
    "unprotect": N_("Lever la protection"),
    "delete": N_("Supprimer"),
    "delete_now": N_("Supprimer sans délai"),
    "restore_deleted": N_("Annuler la suppression"),
}
WEBHOOK_EVENTS = {
    "order.placed": N_("Commande passée"),
    "order.approved": N_("Commande acceptée"),
    "order.rejected": N_("Commande refusée"),
    "order.cancelled": N_("Commande annulée"),
    "order.expired": N_("Commande expirée"),
    "service.active": N_("Service en marche"),
    "service.stopped": N_("Service arrêté"),
    "service.deleted": N_("Service supprimé"),
    "service.failed": N_("Service en échec"),
    "flow.held": N_("Opération confiée à la DSI"),
    "flow.failed": N_("Opération échouée"),
    "statement.closed": N_("Relevé clos"),
    "period.closed": N_("Période close"),
    "budget.reached": N_("Budget presque atteint"),
    "backup.late": N_("Sauvegarde en retard"),
    "backup.unproved": N_("Restauration d’essai échouée"),
    "drift.found": N_("Écart de configuration"),
    "certificate.late": N_("Certificat absent ou bientôt expiré"),
    "answer.ends": N_("Échéance d’une application"),
    "cloud.found": N_("Fait hors Clocher"),
    "cloud.corrected": N_("Changé hors Clocher"),
    "upgrade.announced": N_("Mise à jour annoncée"),
    "upgrade.postponed": N_("Mise à jour reportée"),
    "upgrade.missed": N_("Mise à jour remise à la plage suivante"),
    "upgrade.done": N_("Mise à jour réussie"),
    "upgrade.failed": N_("Mise à jour échouée"),
    "upgrade.cancelled": N_("Mise à jour annulée"),
    "webhook.test": N_("Essai"),
}
ENDPOINTS = {"active": N_("actif"), "disabled": N_("désactivé"), "removed": N_("retiré")}
DELIVERIES = {"queued": N_("à envoyer"), "sent": N_("reçu"), "failed": N_("non reçu")}
# What kept a webhook from being sent; the codes are those of tenants/outside.py.
WEBHOOK_ERRORS = {
    "no_answer": N_("personne ne répond"),
    "address_unknown": N_("nom inconnu"),
    "address_refused": N_("adresse refusée"),
    "https_needed": N_("adresse sans https"),
    "invalid_url": N_("adresse non valable"),
    "secret_unreadable": N_("secret illisible"),
}
LINES = {
    "usage": N_("Consommations"),
    "share": N_("Part des coûts communs"),
    "adjustment": N_("Rectification d’un mois clos"),
    "settlement": N_("Règlement d’une contestation"),
}
PLANS = {
    "planned": N_("prévue"),
    "started": N_("en cours"),
    "done": N_("réussie"),
    "failed": N_("échouée"),
    "cancelled": N_("annulée"),
}
# What kept a planned upgrade from its window, or ended it.
OBSTACLES = {
    "busy": N_("une autre opération était en cours"),
    "no_proof": N_("aucun essai de restauration n’a réussi à temps"),
    "no_vault": N_("le coffre des sauvegardes n’était pas joignable"),
    "not_allowed_now": N_("le service n’était pas en marche"),
    "snapshot_quota": N_("il n’y avait plus de place pour l’instantané d’avant"),
    "unanswered": N_("la nouvelle version demande une réponse qui manque"),
    "done_before": N_("elle a été faite avant la date"),
    "service_gone": N_("le service a été supprimé"),
    "other_version": N_("une autre version est proposée depuis"),
    "cancelled": N_("la DSI y a renoncé"),
    "upgrade_failed": N_("l’application est revenue à ce qu’elle était avant"),
}
WEEKDAYS = {
    "1": N_("lundi"),
    "2": N_("mardi"),
    "3": N_("mercredi"),
    "4": N_("jeudi"),
    "5": N_("vendredi"),
    "6": N_("samedi"),
    "7": N_("dimanche"),
}
CHOICES = {"debian-12": N_("Debian 12"), "debian-13": N_("Debian 13")}
DATA_CLASSES = {
    "standard": N_("ordinaires"),
    "sensitive": N_("sensibles"),
    "health": N_("de santé"),
    "video": N_("images de vidéo"),
}
SECTIONS = {"fonctionnement": N_("fonctionnement"), "investissement": N_("investissement")}
# What the audit trail says was done; they join `api.words.ACTIONS`.
ACTIONS = {
    "backup.make": N_("Sauvegarde demandée"),
    "service.upgrade": N_("Mise à jour demandée"),
    "copy.refresh": N_("Données de l’original demandées pour une copie"),
    "service.move": N_("Service passé à un autre membre"),
    "service.move_asked": N_("Transfert vers un autre membre demandé"),
    "backup.start": N_("Sauvegarde de chaque nuit commencée"),
    "backup.stop": N_("Sauvegarde de chaque nuit arrêtée"),
    "backup.prove": N_("Restauration d’essai demandée"),
    "usage.count": N_("Comptage demandé"),
    "backup.proved": N_("Restauration d’essai réussie"),
    "backup.unproved": N_("Restauration d’essai échouée"),
    "backup.restore": N_("Restauration d’une sauvegarde demandée"),
    "backup.late": N_("Sauvegarde en retard"),
    "backup.state": N_("Sauvegarde changée d’état"),
    "export.ask": N_("Export demandé"),
    "export.download": N_("Export téléchargé"),
    "export.state": N_("Export changé d’état"),
    "upgrade.plan": N_("Mise à jour prévue"),
    "upgrade.announce": N_("Mise à jour annoncée"),
    "upgrade.postpone": N_("Mise à jour reportée"),
    "upgrade.miss": N_("Mise à jour remise à la plage suivante"),
    "upgrade.begin": N_("Mise à jour commencée"),
    "upgrade.done": N_("Mise à jour réussie"),
    "upgrade.failed": N_("Mise à jour échouée"),
    "upgrade.cancel": N_("Mise à jour annulée"),
    "window.put": N_("Plage de maintenance choisie"),
    "window.remove": N_("Plage de maintenance du territoire reprise"),
    "certificate.late": N_("Certificat absent ou bientôt expiré"),
    "answer.ends": N_("Échéance d’une application"),
    "drift.check": N_("Comparaison demandée"),
    "drift.found": N_("Écart de configuration"),
    "drift.gone": N_("Écart de configuration disparu"),
    "drift.repair": N_("Remise en conformité demandée"),
    "vault.forget": N_("Sauvegardes effacées du coffre"),
    "vault.tend": N_("Entretien du coffre commencé"),
    "schedule.put": N_("Instantanés programmés"),
    "schedule.remove": N_("Instantanés programmés retirés"),
    "schedule.skip": N_("Instantané programmé passé"),
    "secret.renew": N_("Secret renouvelé"),
    "secret.renew_asked": N_("Renouvellement d’un secret demandé"),
    "secret.show": N_("Secret lu"),
    "service.delete_due": N_("Suppression commencée"),
    "service.keys": N_("Clés SSH remplacées"),
    "service.protect": N_("Service protégé"),
    "service.unprotect": N_("Protection levée"),
    "service.reboot": N_("Redémarrage demandé"),
    "service.rename_asked": N_("Changement de nom demandé"),
    "service.restore": N_("Restauration demandée"),
    "service.restore_deleted": N_("Suppression annulée"),
    "snapshot.delete": N_("Suppression d’un instantané demandée"),
    "snapshot.make": N_("Instantané demandé"),
    "webhook.add": N_("Webhook ajouté"),
    "webhook.change": N_("Webhook changé"),
    "webhook.rotate": N_("Secret de webhook changé"),
    "webhook.enable": N_("Webhook réactivé"),
    "webhook.disable": N_("Webhook désactivé"),
    "webhook.remove": N_("Webhook retiré"),
    "webhook.test": N_("Webhook essayé"),
    "webhook.replay": N_("Envoi rejoué"),
}
BILLING = {
    "title": N_("par titre de recette"),
    "calls": N_("par appels de fonds"),
    "deduction": N_("retenu sur l’attribution de compensation"),
    "information": N_("pour information"),
}
VAT_REGIMES = {
    "out_of_scope": N_("Hors champ de la TVA (256 B)"),
    "exempt": N_("Exonéré de TVA (261 B)"),
    "normal": N_("TVA au taux normal"),
}
TABLES = {
    "vat_regime": VAT_REGIMES,
    "order_kind": ORDER_KINDS,
    "billing": BILLING,
    "data_class": DATA_CLASSES,
    "approval_state": APPROVAL_STATES,
    "meter": METERS,
    "unit": UNITS,
    "limit": LIMITS,
    "resource": RESOURCES,
    "event": EVENTS,
    "event_source": EVENT_SOURCES,
    "snapshot": SNAPSHOTS,
    "backup": BACKUPS,
    "export": EXPORTS,
    "repository": REPOSITORIES,
    "drift": DRIFTS,
    "deadline": DEADLINES,
    "oldest": OLDEST,
    "certificate": CERTIFICATES,
    "plan": PLANS,
    "obstacle": OBSTACLES,
    "difference": DIFFERENCES,
    "act": ACTS,
    "webhook_event": WEBHOOK_EVENTS,
    "webhook_error": WEBHOOK_ERRORS,
    "endpoint": ENDPOINTS,
    "delivery": DELIVERIES,
    "line": LINES,
    "weekday": WEEKDAYS,
    "section": SECTIONS,
    "choice": CHOICES,
}
