-- Orders of a new service that is made from another one: a copy for trial, or the same at another member's.
ALTER TABLE orders DROP CONSTRAINT ck_orders_kind, ADD CONSTRAINT ck_orders_kind
    CHECK (kind IN ('create', 'clone', 'move', 'resize', 'volume', 'address', 'parameters'));
ALTER TABLE orders DROP CONSTRAINT ck_orders_service, ADD CONSTRAINT ck_orders_service CHECK (
    CASE WHEN kind IN ('create', 'clone', 'move') THEN (state = 'approved') = (service_id IS NOT NULL)
    ELSE service_id IS NOT NULL END
);
DROP INDEX uq_orders_waiting_change;
CREATE UNIQUE INDEX uq_orders_waiting_change ON orders (service_id)
    WHERE state = 'waiting' AND NOT (kind IN ('create', 'clone', 'move'));

-- While its data goes to another member, a service rests.
ALTER TABLE services DROP CONSTRAINT ck_services_state, ADD CONSTRAINT ck_services_state CHECK (state IN (
    'creating', 'active', 'stopping', 'stopped', 'starting', 'rebooting', 'resizing', 'restoring', 'moving',
    'deleting', 'deleted', 'failed', 'outside'
));
ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret', 'backup_service', 'restore_service', 'tend_vault',
    'prove_backup', 'upgrade_service', 'export_service', 'change_parameters', 'check_drift', 'repair_drift',
    'count_service', 'move_service'
));
