-- What was counted right before a backup, and when it was last restored elsewhere to see that it is whole.
ALTER TABLE backups
    ADD COLUMN meters JSONB,
    ADD COLUMN proved_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN proof_seconds BIGINT,
    ADD COLUMN unproved_at TIMESTAMP WITH TIME ZONE,
    ADD CONSTRAINT ck_backups_proof CHECK ((proved_at IS NULL) = (proof_seconds IS NULL));

ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret', 'backup_service', 'restore_service', 'tend_vault',
    'prove_backup', 'upgrade_service'));
