-- A guest and its play, as they were last compared.
CREATE TABLE drifts (
    service_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    state TEXT NOT NULL,
    differences JSONB NOT NULL,
    since TIMESTAMP WITH TIME ZONE,
    compared_at TIMESTAMP WITH TIME ZONE,
    tried_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_drifts PRIMARY KEY (service_id),
    CONSTRAINT ck_drifts_state CHECK (state IN ('same', 'differs', 'unknown')),
    CONSTRAINT ck_drifts_differences CHECK ((state = 'differs') = (jsonb_array_length(differences) > 0)),
    CONSTRAINT ck_drifts_since CHECK ((state = 'differs') = (since IS NOT NULL)),
    CONSTRAINT ck_drifts_compared CHECK ((state = 'unknown') = (compared_at IS NULL)),
    CONSTRAINT fk_drifts_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_drifts_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
CREATE INDEX ix_drifts_member_id ON drifts (member_id);
GRANT SELECT ON drifts TO clocher_web, clocher_staff;
GRANT SELECT, INSERT, UPDATE, DELETE ON drifts TO clocher_worker;
ALTER TABLE drifts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON drifts USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));

ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret', 'backup_service', 'restore_service', 'tend_vault',
    'prove_backup', 'upgrade_service', 'export_service', 'change_parameters', 'check_drift', 'repair_drift', 'count_service'
));

ALTER TABLE orders DROP CONSTRAINT ck_orders_kind, ADD CONSTRAINT ck_orders_kind
    CHECK (kind IN ('create', 'resize', 'volume', 'address', 'parameters'));
