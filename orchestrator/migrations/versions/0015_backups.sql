-- An archive of an application's data in the vault, which is a service too.
CREATE TABLE backups (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    vault_id BIGINT NOT NULL,
    archive TEXT NOT NULL,
    state TEXT DEFAULT 'making' NOT NULL,
    scheduled BOOLEAN NOT NULL,
    borg_id TEXT,
    bytes BIGINT,
    added BIGINT,
    files BIGINT,
    requested_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_backups PRIMARY KEY (id),
    CONSTRAINT uq_backups_service_id_archive UNIQUE (service_id, archive),
    CONSTRAINT ck_backups_state CHECK (state IN ('making', 'ready', 'deleted', 'failed')),
    CONSTRAINT ck_backups_ended CHECK ((ended_at IS NOT NULL) = (state IN ('deleted', 'failed'))),
    CONSTRAINT ck_backups_whole CHECK (state <> 'ready' OR (borg_id IS NOT NULL AND bytes >= 0 AND added IS NOT NULL
        AND files >= 0 AND made_at IS NOT NULL)),
    CONSTRAINT fk_backups_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_backups_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_backups_vault_id FOREIGN KEY(vault_id) REFERENCES services (id)
);
CREATE INDEX ix_backups_member_id_id ON backups (member_id, id);
CREATE INDEX ix_backups_service_id_id ON backups (service_id, id);
CREATE INDEX ix_backups_vault_id ON backups (vault_id);
GRANT SELECT, INSERT ON backups TO clocher_web, clocher_staff, clocher_worker;
GRANT UPDATE ON backups TO clocher_worker;

-- What a service opens its repository in the vault with: sealed, and read by workers alone.
CREATE TABLE backup_clients (
    service_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    public_key TEXT NOT NULL,
    private_key TEXT NOT NULL,
    passphrase TEXT NOT NULL,
    vault_id BIGINT,
    host_key TEXT,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    late_since TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_backup_clients PRIMARY KEY (service_id),
    CONSTRAINT ck_backup_clients_let_in CHECK ((vault_id IS NULL) = (host_key IS NULL)),
    CONSTRAINT fk_backup_clients_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_backup_clients_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_backup_clients_vault_id FOREIGN KEY(vault_id) REFERENCES services (id)
);
CREATE INDEX ix_backup_clients_member_id ON backup_clients (member_id);
CREATE INDEX ix_backup_clients_vault_id ON backup_clients (vault_id);
GRANT SELECT (service_id, member_id, public_key, vault_id, host_key, made_at, late_since, ended_at)
    ON backup_clients TO clocher_web, clocher_staff;
GRANT SELECT, INSERT, UPDATE, DELETE ON backup_clients TO clocher_worker;

DO $$
DECLARE secured TEXT;
BEGIN
    FOREACH secured IN ARRAY ARRAY['backups', 'backup_clients'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY own_rows ON %I USING ('
            '(SELECT clocher_territory()) OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
END $$;

ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret', 'backup_service', 'restore_service', 'tend_vault'));
-- Applications that run already are backed up as the offer that they were ordered by says.
UPDATE services SET specification = jsonb_set(specification, '{stack,backup}', offers.stack -> 'backup')
    FROM offers
    WHERE specification ? 'stack' AND offers.stack ? 'backup' AND offers.slug = specification ->> 'offer'
        AND offers.version = (specification ->> 'offer_version')::bigint;
