-- What opens an application: made once by a flow, sealed under a key that is not in the database. next: what takes its
-- place while a flow renews it; shown_at: when it was read, which is done once.
CREATE TABLE service_secrets (
    service_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    member_id BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    next TEXT,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    shown_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_service_secrets PRIMARY KEY (service_id, name),
    CONSTRAINT fk_service_secrets_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_service_secrets_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
CREATE INDEX ix_service_secrets_member_id ON service_secrets (member_id);
GRANT SELECT, UPDATE (shown_at) ON service_secrets TO clocher_web;
GRANT SELECT (service_id, name, member_id, made_at, shown_at) ON service_secrets TO clocher_staff;
GRANT SELECT, INSERT, UPDATE, DELETE ON service_secrets TO clocher_worker;
ALTER TABLE service_secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON service_secrets USING (
    (SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));

ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret'));
