ALTER TABLE services ADD COLUMN nightly BOOLEAN DEFAULT true NOT NULL;
GRANT UPDATE (nightly) ON services TO clocher_web;

-- What a client's repository may take, as its vault was told: it is told again when the service has grown.
ALTER TABLE backup_clients ADD COLUMN quota_gib BIGINT;
GRANT SELECT (quota_gib) ON backup_clients TO clocher_web, clocher_staff;

ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret', 'backup_service', 'restore_service', 'tend_vault',
    'prove_backup', 'upgrade_service', 'export_service', 'change_parameters', 'check_drift', 'repair_drift',
    'count_service', 'move_service', 'restore_files'
));
