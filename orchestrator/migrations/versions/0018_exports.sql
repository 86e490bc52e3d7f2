-- An archive of an application's data and papers, kept for some days.
CREATE TABLE exports (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    title TEXT NOT NULL,
    file TEXT NOT NULL,
    state TEXT DEFAULT 'making' NOT NULL,
    papers JSONB NOT NULL,
    source TEXT,
    bytes BIGINT,
    sha256 TEXT,
    files BIGINT,
    requested_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_exports PRIMARY KEY (id),
    CONSTRAINT ck_exports_state CHECK (state IN ('making', 'ready', 'removed', 'failed')),
    CONSTRAINT ck_exports_file CHECK (file ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ck_exports_ended CHECK ((ended_at IS NOT NULL) = (state IN ('removed', 'failed'))),
    CONSTRAINT ck_exports_whole CHECK (state NOT IN ('ready', 'removed') OR (bytes > 0 AND sha256 IS NOT NULL
        AND files >= 0 AND made_at IS NOT NULL AND expires_at IS NOT NULL)),
    CONSTRAINT fk_exports_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_exports_service_id FOREIGN KEY(service_id) REFERENCES services (id)
);
CREATE INDEX ix_exports_member_id_id ON exports (member_id, id);
CREATE INDEX ix_exports_service_id_id ON exports (service_id, id);
GRANT SELECT, INSERT ON exports TO clocher_web, clocher_staff, clocher_worker;
GRANT UPDATE ON exports TO clocher_worker;
ALTER TABLE exports ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON exports USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));

ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret', 'backup_service', 'restore_service', 'tend_vault',
    'prove_backup', 'upgrade_service', 'export_service'));
