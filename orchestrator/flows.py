"""The flows: their stories by kind, known to the flow engine.

A flow is queued by inserting its row (a trigger hands it to the engine); a worker runs it under its kind's name.
"""

from __future__ import annotations

from collections.abc import Callable

from dbos import DBOS

from orchestrator import flows_stories as stories
from orchestrator import runs
from orchestrator.runs import Kind
from orchestrator.settings import Settings
from orchestrator.steps import Runtime

QUEUE = "flows"
POLL_SECONDS = 0.2  # how long a queued flow waits at most before a free worker takes it
SETTLED = ("active", "stopped")

KINDS = {
    "create_server": Kind(
        stories.create_server, "creating", failing="failed", needs=("creating",), cancellable=True, swept=True
    ),
    # A delete that failed half-way stays "deleting": it holds its quota and can be asked for again.
    # What fails is undone at once: the old service must serve again, whatever stood in the way.
    "move_service": Kind(
        stories.move_service, "creating", failing="failed", needs=("creating",), holds=False, swept=True
    ),
    "delete_server": Kind(stories.delete_server, "deleting", failing=None, needs=SETTLED),
    "stop_server": Kind(stories.stop_server, "stopping", failing="active"),
    "start_server": Kind(stories.start_server, "starting", failing="stopped", needs=("stopped",)),
    "reboot_server": Kind(stories.reboot_server, "rebooting"),
    # A size that does not do is given back at once: the service is worth more than the wish.
    "resize_server": Kind(stories.resize_server, "resizing", needs=SETTLED, holds=False),
    "rename_server": Kind(stories.rename_server),
    "add_volume": Kind(stories.add_volume, needs=SETTLED),
    "grow_volume": Kind(stories.grow_volume, needs=SETTLED),
    "remove_volume": Kind(stories.remove_volume, needs=SETTLED),
    "add_address": Kind(stories.add_address, needs=SETTLED),
    "remove_address": Kind(stories.remove_address, needs=SETTLED),
    "replace_keys": Kind(stories.replace_keys),
    "snapshot_server": Kind(stories.snapshot_server, needs=SETTLED),
    "delete_snapshot": Kind(stories.delete_snapshot, needs=SETTLED),
    "renew_secret": Kind(stories.renew_secret),
    "restore_server": Kind(stories.restore_server, "restoring"),
    # One that failed is told, and made again: the service must not wait for it.
    "backup_service": Kind(stories.backup_service, holds=False),
    "prove_backup": Kind(stories.prove_backup, holds=False),
    # A version that does not do is taken back at once: the service is worth more than the wish.
    "upgrade_service": Kind(stories.upgrade_service, holds=False),
    # So are answers that the application does not stand: it has those of before back at once.
    "change_parameters": Kind(stories.change_parameters, holds=False),
    # A guest that could not be looked at is told, and looked at again.
    "check_drift": Kind(stories.check_drift, holds=False),
    "repair_drift": Kind(stories.repair_drift),
    "restore_service": Kind(stories.restore_service, "restoring"),
    # Nothing was replaced: its people make room and ask again.
    "restore_files": Kind(stories.restore_files, holds=False),
    "tend_vault": Kind(stories.tend_vault),
    "export_service": Kind(stories.export_service, holds=False),
    # One that failed is made again the next day.
    "count_service": Kind(stories.count_service, holds=False),
}


def register(runtime: Runtime) -> None:
    """Make the flows known to the engine under the names that `flows.kind` holds; before it is launched."""
    for name, kind in KINDS.items():
        DBOS.workflow(name=name)(_flow(runtime, kind))


def _flow(runtime: Runtime, kind: Kind) -> Callable[[int, int], None]:
    def flow(flow_id: int, number: int = 1) -> None:
        run = runs.begin(runtime, flow_id, number, kind)
        if run is None:
            return
        try:
            kind.story(run)
        except Exception as error:  # noqa: BLE001  (every failure, ours or a bug, is held or undone, and told)
            if run.takes_back:  # it came to where the earlier runs stopped, or breaks as they did
                runs.take_back(run, kind)
            else:
                runs.fail(run, error, kind)

    return flow


def listen(settings: Settings) -> None:
    """Open the queue with the installation's limits; after the engine is launched."""
    DBOS.register_queue(
        QUEUE,
        global_concurrency=settings.flows_total,
        partition_concurrency=settings.flows_per_member,
        polling_interval_sec=POLL_SECONDS,
        on_conflict="always_update",
    )
