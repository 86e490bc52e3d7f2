-- What an operation needs to know; how often its flow was run; who is on it when it is held.
ALTER TABLE flows
    ADD COLUMN parameters JSONB DEFAULT '{}' NOT NULL,
    ADD COLUMN runs BIGINT DEFAULT '1' NOT NULL,
    ADD COLUMN undo_requested BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN began_from TEXT,
    ADD COLUMN held_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN keeper TEXT,
    ADD COLUMN keeper_note TEXT,
    DROP CONSTRAINT ck_flows_kind,
    DROP CONSTRAINT ck_flows_state,
    ADD CONSTRAINT ck_flows_kind CHECK (kind IN ('create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server', 'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server', 'delete_snapshot', 'restore_server')),
    ADD CONSTRAINT ck_flows_state CHECK (state IN ('queued', 'running', 'held', 'undoing', 'done', 'failed', 'cancelled')),
    ADD CONSTRAINT ck_flows_held CHECK ((held_at IS NOT NULL) = (state = 'held')),
    ADD CONSTRAINT ck_flows_runs CHECK (runs > 0);
DROP INDEX uq_flows_one_live;
CREATE UNIQUE INDEX uq_flows_one_live ON flows (service_id) WHERE state IN ('queued', 'running', 'held', 'undoing');
CREATE INDEX ix_flows_live ON flows (state, id) WHERE state IN ('queued', 'running', 'held', 'undoing');

ALTER TABLE services
    ADD COLUMN protected BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN delete_after TIMESTAMP WITH TIME ZONE,
    DROP CONSTRAINT ck_services_state,
    ADD CONSTRAINT ck_services_state CHECK (state IN ('creating', 'active', 'stopping', 'stopped', 'starting', 'rebooting', 'resizing', 'restoring', 'deleting', 'deleted', 'failed'));
CREATE INDEX ix_services_delete_after ON services (delete_after) WHERE delete_after IS NOT NULL;
GRANT UPDATE (protected, delete_after) ON services TO clocher_web;

ALTER TABLE resources
    DROP CONSTRAINT ck_resources_kind,
    ADD CONSTRAINT ck_resources_kind CHECK (kind IN ('server', 'volume', 'port', 'floating_ip', 'image', 'volume_snapshot'));

CREATE TABLE snapshots (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    state TEXT DEFAULT 'making' NOT NULL,
    scheduled BOOLEAN DEFAULT false NOT NULL,
    size_gib BIGINT,
    requested_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ready_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_snapshots PRIMARY KEY (id),
    CONSTRAINT fk_snapshots_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_snapshots_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT ck_snapshots_state CHECK (state IN ('making', 'ready', 'deleting', 'deleted', 'failed')),
    CONSTRAINT ck_snapshots_name CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT ck_snapshots_ended CHECK ((ended_at IS NOT NULL) = (state IN ('deleted', 'failed')))
);
CREATE INDEX ix_snapshots_member_id_id ON snapshots (member_id, id);
CREATE INDEX ix_snapshots_service_id_id ON snapshots (service_id, id);
ALTER TABLE snapshots ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON snapshots USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
GRANT SELECT, INSERT ON snapshots TO clocher_web, clocher_staff, clocher_worker;
GRANT UPDATE ON snapshots TO clocher_worker;

-- A flow runs again (from the step that failed, or backwards) when its number of runs grows; a run of its own in the
-- engine, queued by the transaction that asks for it.
CREATE OR REPLACE FUNCTION clocher_enqueue_flow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM dbos.enqueue_workflow(
        workflow_name => NEW.kind, queue_name => 'flows', positional_args => ARRAY[to_json(NEW.id), to_json(NEW.runs)],
        workflow_id => 'flow-' || NEW.id || CASE WHEN NEW.runs > 1 THEN '-' || NEW.runs ELSE '' END,
        queue_partition_key => NEW.member_id::text, app_version => 'clocher');
    RETURN NULL;
END $$;
CREATE TRIGGER enqueued_again AFTER UPDATE ON flows FOR EACH ROW WHEN (NEW.runs <> OLD.runs AND NEW.state = 'queued')
    EXECUTE FUNCTION clocher_enqueue_flow();

-- Nobody runs a held flow: whoever cancels it (the portal may write nothing else) has it undone at once.
CREATE FUNCTION clocher_undo_cancelled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.state := 'queued';
    NEW.runs := OLD.runs + 1;
    NEW.held_at := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER undo_cancelled BEFORE UPDATE ON flows FOR EACH ROW
    WHEN (OLD.state = 'held' AND NEW.state = 'held' AND NEW.cancel_requested AND NOT OLD.cancel_requested)
    EXECUTE FUNCTION clocher_undo_cancelled();

-- Why a flow waits, in numbers that name nobody: a member may ask it of its own flows, and sees no other's.
CREATE FUNCTION clocher_queue(given bigint)
RETURNS TABLE (ahead bigint, ahead_of_member bigint, running bigint, running_of_member bigint, worker_seen timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT count(*) FILTER (WHERE f.state = 'queued' AND f.id < own.id),
        count(*) FILTER (WHERE f.state = 'queued' AND f.id < own.id AND f.member_id = own.member_id),
        count(*) FILTER (WHERE f.state IN ('running', 'undoing')),
        count(*) FILTER (WHERE f.state IN ('running', 'undoing') AND f.member_id = own.member_id),
        (SELECT max(seen_at) FROM workers)
    FROM flows own LEFT JOIN flows f ON f.state IN ('queued', 'running', 'held', 'undoing')
    WHERE own.id = given AND (pg_has_role(session_user, 'clocher_territory', 'member') OR own.member_id = clocher_member())
    GROUP BY own.id
$$;
REVOKE ALL ON FUNCTION clocher_queue(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clocher_queue(bigint) TO clocher_web, clocher_staff, clocher_worker;

INSERT INTO meters (id, code, unit, sku, label) VALUES
    (8, 'snapshot', 'GiB', 'snapshot', '{"fr": "Instantané", "en": "Snapshot"}');
