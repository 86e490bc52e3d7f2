"""The steps that give a new service the data of another one, which is read in the vault and not touched itself."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator import steps_backups as keeping
from orchestrator import steps_guest as guest
from orchestrator import steps_stack as stack
from orchestrator.errors import ClocherError
from orchestrator.steps import Run, Write, nothing
from orchestrator.tables_backups import Backup
from orchestrator.tables_usage import OLDEST


def copies(run: Run) -> bool:
    """Whether the service is given another one's data."""
    return "copies" in run.parameters


def bring_over(run: Run) -> Write:
    """The data of the backup is the new application's; nothing of it is missing."""
    vault, backup = keeping.restored_from(run)
    play, given = run.specification["play"], stack.variables(run)
    within = run.runtime.settings.backup_timeout
    try:
        guest.perform(run, play, "restore", within=within, **given, vault=vault, archive=backup.archive)
        # Counted before anybody asks it something: that may be counted too.
        counted = stack.counted(guest.perform(run, play, "usage", **given))
    except ClocherError as error:
        if error.code not in ("play_failed", "play_timeout"):
            raise
        raise ClocherError(
            "copy_failed", "Les données n’ont pas pu être reprises dans le nouveau service.",
            "La DSI en a le détail ; le service d’origine n’a pas été touché.", detail=error.detail,
        ) from error  # fmt: skip
    compare(run, backup, counted)
    return nothing


def compare(run: Run, backup: Backup, found: Mapping[str, int]) -> None:
    """What is steady counts as it did right before the backup. Raises data_missing."""
    moving = (OLDEST, *run.specification["stack"].get("moving", ()))
    wanted = {code: number for code, number in (backup.meters or {}).items() if code not in moving}
    wrong = [f"{code} {found.get(code)}, not {number}" for code, number in wanted.items() if found.get(code) != number]
    if wrong:
        raise ClocherError("data_missing", "Des données manquent.", "Prévenez la DSI.", detail="; ".join(wrong))
