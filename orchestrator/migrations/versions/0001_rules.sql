-- Who sees what ------------------------------------------------------------------------------------------------

CREATE FUNCTION clocher_member() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN current_setting('clocher.scope', true) = 'member'
        THEN nullif(current_setting('clocher.member', true), '')::bigint END
$$;

CREATE FUNCTION clocher_territory() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('clocher.scope', true), '') = 'territory'
        AND pg_has_role(current_user, 'clocher_territory', 'member')
$$;

-- The sub-selects are evaluated once per statement, not once per row.
DO $$
DECLARE
    secured text;
BEGIN
    FOREACH secured IN ARRAY ARRAY[
        'places', 'services', 'flows', 'flow_steps', 'ansible_events', 'resources', 'resource_events', 'audit_entries',
        'quotas', 'budgets', 'tokens', 'orders', 'usage_intervals', 'statements', 'statement_lines']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY own_rows ON %I USING ((SELECT clocher_territory())'
            ' OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
END $$;

ALTER TABLE members ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON members USING ((SELECT clocher_territory()) OR id = (SELECT clocher_member()));

GRANT SELECT ON members, places, services, flows, flow_steps, ansible_events, resources, resource_events, audit_entries,
    quotas, budgets, offers, orders, meters, prices, periods, usage_intervals, allocation_keys, cost_pools,
    statements, statement_lines TO clocher_web, clocher_staff, clocher_worker;

GRANT INSERT ON orders, services, flows, audit_entries TO clocher_web;
GRANT UPDATE (state, decided_by, decided_at, reason) ON orders TO clocher_web;
GRANT UPDATE (changed_at) ON services TO clocher_web;  -- so that it may lock a row; flows write the state
GRANT UPDATE (cancel_requested) ON flows TO clocher_web;

GRANT SELECT ON tokens, workers, sightings, alembic_version TO clocher_staff;
GRANT INSERT, UPDATE ON members, places, quotas, budgets, tokens, offers, orders, services, flows, resources,
    resource_events, meters, prices, periods, allocation_keys, cost_pools, statements, statement_lines,
    usage_intervals TO clocher_staff;
GRANT INSERT ON audit_entries TO clocher_staff;
GRANT DELETE ON budgets, places, cost_pools, statements, statement_lines, usage_intervals TO clocher_staff;

GRANT INSERT, UPDATE ON services, flows, flow_steps, resources, workers, sightings TO clocher_worker;
GRANT INSERT ON ansible_events, resource_events, audit_entries TO clocher_worker;
GRANT SELECT, DELETE ON workers, sightings TO clocher_worker;

-- A token is looked up before anybody is known; only its digest opens the row.
CREATE FUNCTION clocher_token(given bytea) RETURNS TABLE (id bigint, member_id bigint, label text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT t.id, t.member_id, t.label FROM tokens t LEFT JOIN members m ON m.id = t.member_id
    WHERE t.digest = given AND t.revoked_at IS NULL AND t.expires_at > now() AND coalesce(m.state, 'active') = 'active'
$$;
REVOKE ALL ON FUNCTION clocher_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clocher_token(bytea) TO clocher_web, clocher_staff;

-- Append-only ---------------------------------------------------------------------------------------------------

CREATE FUNCTION clocher_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'CL001';
END $$;

DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['resource_events', 'ansible_events', 'audit_entries'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_change()', kept);
    END LOOP;
END $$;

-- Audit chain ---------------------------------------------------------------------------------------------------

CREATE TABLE audit_head (id bigint NOT NULL, hash bytea NOT NULL);
INSERT INTO audit_head VALUES (0, sha256('clocher'));

CREATE FUNCTION clocher_audit_hash(previous bytea, entry audit_entries) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(previous || convert_to(jsonb_build_array(entry.id, extract(epoch FROM entry.at)::text, entry.actor,
        entry.member_id, entry.action, entry.subject, entry.detail)::text, 'UTF8'))
$$;

-- Writers wait for each other on the head's row: the chain has one order, and ids follow it without a gap.
CREATE FUNCTION clocher_chain_audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    head audit_head;
BEGIN
    SELECT * INTO head FROM audit_head FOR UPDATE;
    NEW.id := head.id + 1;
    NEW.at := clock_timestamp();
    NEW.previous_hash := head.hash;
    NEW.hash := clocher_audit_hash(head.hash, NEW);
    UPDATE audit_head SET id = NEW.id, hash = NEW.hash;
    RETURN NEW;
END $$;
CREATE TRIGGER chained BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION clocher_chain_audit();

-- Flows: queued by the transaction that writes the row ------------------------------------------------------------

CREATE FUNCTION clocher_enqueue_flow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM dbos.enqueue_workflow(
        workflow_name => NEW.kind, queue_name => 'flows', positional_args => ARRAY[to_json(NEW.id)],
        workflow_id => 'flow-' || NEW.id, queue_partition_key => NEW.member_id::text, app_version => 'clocher');
    RETURN NULL;
END $$;
CREATE TRIGGER enqueued AFTER INSERT ON flows FOR EACH ROW WHEN (NEW.state = 'queued')
    EXECUTE FUNCTION clocher_enqueue_flow();

-- Sealed periods ------------------------------------------------------------------------------------------------

CREATE FUNCTION clocher_refuse_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Waits for a transaction that closes the period now, and makes a later one wait for us.
    PERFORM FROM periods WHERE id IN (SELECT period_id FROM changed) FOR SHARE;
    IF EXISTS (SELECT FROM changed c JOIN periods p ON p.id = c.period_id WHERE p.state = 'closed') THEN
        RAISE EXCEPTION 'the period is closed' USING ERRCODE = 'CL002';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION clocher_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM periods WHERE state = 'closed') THEN
        RAISE EXCEPTION 'the period is closed' USING ERRCODE = 'CL002';
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    sealed text;
BEGIN
    FOREACH sealed IN ARRAY ARRAY['usage_intervals', 'cost_pools', 'statements', 'statement_lines'] LOOP
        EXECUTE format('CREATE TRIGGER sealed_insert AFTER INSERT ON %I REFERENCING NEW TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed()', sealed);
        EXECUTE format('CREATE TRIGGER sealed_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed()', sealed);
        EXECUTE format('CREATE TRIGGER sealed_from AFTER UPDATE ON %I REFERENCING OLD TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed()', sealed);
        EXECUTE format('CREATE TRIGGER sealed_to AFTER UPDATE ON %I REFERENCING NEW TABLE AS changed'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed()', sealed);
        EXECUTE format('CREATE TRIGGER sealed_truncate BEFORE TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_truncate()', sealed);
    END LOOP;
END $$;

CREATE FUNCTION clocher_seal_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'closed' THEN
        RAISE EXCEPTION 'the period is closed' USING ERRCODE = 'CL002';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER sealed BEFORE UPDATE OR DELETE ON periods FOR EACH ROW EXECUTE FUNCTION clocher_seal_period();
CREATE TRIGGER sealed_truncate BEFORE TRUNCATE ON periods FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_truncate();

-- A price is a fact: it can be ended, never rewritten.
CREATE FUNCTION clocher_keep_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.hourly, NEW.meter_id, lower(NEW.during)) IS DISTINCT FROM (OLD.hourly, OLD.meter_id, lower(OLD.during)) THEN
        RAISE EXCEPTION 'a price never changes; end it and add another' USING ERRCODE = 'CL003';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kept BEFORE UPDATE ON prices FOR EACH ROW EXECUTE FUNCTION clocher_keep_price();

-- Meters --------------------------------------------------------------------------------------------------------

INSERT INTO meters (id, code, unit, sku, label) VALUES
    (1, 'server', 'server', NULL, '{"fr": "Serveur (comparaison)", "en": "Server (comparison)"}'),
    (2, 'vcpu', 'vCPU', 'vcpu', '{"fr": "Processeur virtuel", "en": "Virtual CPU"}'),
    (3, 'ram', 'GiB', 'ram', '{"fr": "Mémoire vive", "en": "Memory"}'),
    (4, 'vcpu_stopped', 'vCPU', 'vcpu-stopped', '{"fr": "Processeur virtuel, serveur arrêté", "en": "Virtual CPU, server stopped"}'),
    (5, 'ram_stopped', 'GiB', 'ram-stopped', '{"fr": "Mémoire vive, serveur arrêté", "en": "Memory, server stopped"}'),
    (6, 'volume', 'GiB', 'volume', '{"fr": "Volume de données", "en": "Data volume"}'),
    (7, 'public_address', 'address', 'public-address', '{"fr": "Adresse publique", "en": "Public address"}');
