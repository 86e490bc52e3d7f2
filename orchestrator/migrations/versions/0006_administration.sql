-- Members: declared in files, or made in the pages. Their administrators' networks are kept, for an edit to begin with.
ALTER TABLE members
    ADD COLUMN origin TEXT DEFAULT 'declared' NOT NULL,
    ADD COLUMN admin_networks JSONB DEFAULT '[]' NOT NULL,
    ADD CONSTRAINT ck_members_origin CHECK (origin IN ('declared', 'made'));

-- The worker does what the pages ask for: it alone can look at the cloud.
GRANT INSERT, UPDATE ON members, places, quotas, budgets TO clocher_worker;
GRANT DELETE ON budgets, places TO clocher_worker;

CREATE TABLE member_changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT,
    slug TEXT NOT NULL,
    kind TEXT NOT NULL,
    declaration JSONB DEFAULT '{}' NOT NULL,
    state TEXT DEFAULT 'planning' NOT NULL,
    plan JSONB,
    told JSONB DEFAULT '[]' NOT NULL,
    error_code TEXT,
    error_sentence TEXT,
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    confirmed_by TEXT,
    confirmed_at TIMESTAMP WITH TIME ZONE,
    worker_id TEXT,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_member_changes PRIMARY KEY (id),
    CONSTRAINT fk_member_changes_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT ck_member_changes_kind CHECK (kind IN ('edit', 'close')),
    CONSTRAINT ck_member_changes_state
        CHECK (state IN ('planning', 'planned', 'applying', 'done', 'failed', 'discarded')),
    CONSTRAINT ck_member_changes_ended CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'failed', 'discarded')))
);
CREATE INDEX ix_member_changes_member_id ON member_changes (member_id);
-- One change of a member at a time.
CREATE UNIQUE INDEX uq_member_changes_live ON member_changes (slug)
    WHERE state IN ('planning', 'planned', 'applying');

GRANT SELECT, INSERT, UPDATE ON member_changes TO clocher_staff;
GRANT SELECT, UPDATE ON member_changes TO clocher_worker;

-- What the cloud says that each member really uses, and the limits that it holds.
CREATE TABLE cloud_usage (
    member_id BIGINT NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    servers BIGINT NOT NULL,
    vcpus BIGINT NOT NULL,
    ram_mib BIGINT NOT NULL,
    volumes BIGINT NOT NULL,
    disk_gib BIGINT NOT NULL,
    public_addresses BIGINT NOT NULL,
    limits JSONB NOT NULL,
    CONSTRAINT pk_cloud_usage PRIMARY KEY (member_id),
    CONSTRAINT fk_cloud_usage_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
GRANT SELECT ON cloud_usage TO clocher_staff, clocher_worker;
GRANT INSERT, UPDATE, DELETE ON cloud_usage TO clocher_worker;

CREATE TABLE hypervisors (
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_hypervisors PRIMARY KEY (name)
);

CREATE TABLE capacity_samples (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    resource TEXT NOT NULL,
    place TEXT NOT NULL,
    total BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    ratio NUMERIC NOT NULL,
    used BIGINT NOT NULL,
    CONSTRAINT pk_capacity_samples PRIMARY KEY (id),
    CONSTRAINT uq_capacity_samples_resource_place_at UNIQUE (resource, place, at),
    CONSTRAINT ck_capacity_samples_resource
        CHECK (resource IN ('VCPU', 'MEMORY_MB', 'DISK_GB', 'FLOATING_IP', 'VOLUME_GB')),
    CONSTRAINT ck_capacity_samples_sound CHECK (least(total, reserved, used) >= 0 AND ratio > 0)
);
CREATE INDEX ix_capacity_samples_at ON capacity_samples (at);
GRANT SELECT ON hypervisors, capacity_samples TO clocher_staff, clocher_worker;
GRANT INSERT, UPDATE, DELETE ON hypervisors TO clocher_worker;
GRANT INSERT, DELETE ON capacity_samples TO clocher_worker;

-- The catalogue: an offer may be made in the pages; a draft of it at a time.
ALTER TABLE offers
    ADD COLUMN origin TEXT DEFAULT 'declared' NOT NULL,
    ADD CONSTRAINT ck_offers_origin CHECK (origin IN ('declared', 'made'));
CREATE UNIQUE INDEX uq_offers_draft ON offers (slug) WHERE state = 'draft';

-- The price book: a change is a draft until it is adopted; what the pages adopted is not in any file.
ALTER TABLE prices
    ADD COLUMN origin TEXT DEFAULT 'declared' NOT NULL,
    ADD CONSTRAINT ck_prices_origin CHECK (origin IN ('declared', 'made'));

CREATE TABLE price_drafts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    book TEXT NOT NULL,
    starts DATE NOT NULL,
    hourly JSONB NOT NULL,
    state TEXT DEFAULT 'draft' NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    decided_by TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_price_drafts PRIMARY KEY (id),
    CONSTRAINT ck_price_drafts_state CHECK (state IN ('draft', 'adopted', 'discarded')),
    CONSTRAINT ck_price_drafts_decided CHECK ((state = 'draft') = (decided_at IS NULL))
);
GRANT SELECT, INSERT, UPDATE ON price_drafts TO clocher_staff;

-- What the DSI has to say, to one member or (without one) to all.
CREATE TABLE announcements (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT,
    level TEXT NOT NULL,
    title JSONB NOT NULL,
    body JSONB NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_announcements PRIMARY KEY (id),
    CONSTRAINT fk_announcements_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT ck_announcements_level CHECK (level IN ('info', 'warning', 'danger')),
    CONSTRAINT ck_announcements_ends CHECK (ends_at > starts_at)
);
CREATE INDEX ix_announcements_member_id ON announcements (member_id);
GRANT SELECT ON announcements TO clocher_web, clocher_staff;
GRANT INSERT, UPDATE ON announcements TO clocher_staff;

ALTER TABLE member_changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON member_changes USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
ALTER TABLE cloud_usage ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON cloud_usage USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
ALTER TABLE announcements ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON announcements USING (
    (SELECT clocher_territory()) OR member_id = (SELECT clocher_member())
    OR member_id IS NULL AND (SELECT clocher_member()) IS NOT NULL);

-- How long the audit trail is kept --------------------------------------------------------------------------------
-- CNIL, délibération 2021-122: six months to a year; up to three years where a documented risk asks for it.

CREATE TABLE audit_retention (
    id BIGINT DEFAULT 1 NOT NULL,
    days BIGINT NOT NULL,
    reason TEXT,
    set_by TEXT NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_audit_retention PRIMARY KEY (id),
    CONSTRAINT ck_audit_retention_one CHECK (id = 1),
    CONSTRAINT ck_audit_retention_bounds CHECK (days BETWEEN 180 AND 1095 AND (days <= 365 OR length(reason) >= 20))
);
INSERT INTO audit_retention (days, set_by) VALUES (365, 'clocher');
GRANT SELECT ON audit_retention TO clocher_web, clocher_staff, clocher_worker;
GRANT UPDATE ON audit_retention TO clocher_staff;

-- Where the chain begins after a purge; only the purge writes it, and says the same in the chain itself.
CREATE TABLE audit_purges (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_id BIGINT NOT NULL,
    last_hash BYTEA NOT NULL,
    removed BIGINT NOT NULL,
    kept_hash BYTEA NOT NULL,
    CONSTRAINT pk_audit_purges PRIMARY KEY (id)
);
GRANT SELECT ON audit_purges TO clocher_staff, clocher_worker;
GRANT SELECT ON audit_head TO clocher_staff;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_purges
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_change();

CREATE INDEX ix_audit_entries_at ON audit_entries (at);
CREATE INDEX ix_audit_entries_subject ON audit_entries (subject);

-- Accounts are kept for ten years, and so is who closed a month or set a price; and every purge.
CREATE FUNCTION clocher_keeps_entry(action text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT split_part(action, '.', 1) IN ('period', 'statement', 'price', 'pool', 'key', 'audit')
$$;

-- One hash over the hashes of the entries that purges left standing up to `last`.
CREATE FUNCTION clocher_kept_hash(last bigint) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(coalesce(string_agg(hash, ''::bytea ORDER BY id), ''::bytea)) FROM audit_entries WHERE id <= last
$$;

CREATE OR REPLACE FUNCTION clocher_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Only the purge deletes; no role but the owner has the right to delete at all.
    IF TG_TABLE_NAME = 'audit_entries' AND TG_OP = 'DELETE' AND current_setting('clocher.purge', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'CL001';
END $$;

-- Remove what is older than the retention; how many entries. The chain goes on from the last one removed.
CREATE FUNCTION clocher_purge_audit() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    kept bigint;
    edge audit_entries;
    gone bigint;
    standing bytea;
    told record;
BEGIN
    PERFORM FROM audit_head FOR UPDATE;
    SELECT days INTO STRICT kept FROM audit_retention;
    SELECT * INTO edge FROM audit_entries
        WHERE at < clock_timestamp() - make_interval(days => kept::int) ORDER BY id DESC LIMIT 1;
    IF edge.id IS NULL OR edge.id <= (SELECT coalesce(max(last_id), 0) FROM audit_purges) THEN
        RETURN 0;
    END IF;
    -- What was told of an entry (a mail, a call) says the same and goes with it.
    FOR told IN SELECT c.conrelid::regclass AS name, a.attname AS entry FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        WHERE c.contype = 'f' AND c.confrelid = 'audit_entries'::regclass
    LOOP
        EXECUTE format('DELETE FROM %s t USING audit_entries e WHERE t.%I = e.id AND e.id <= $1'
            ' AND NOT clocher_keeps_entry(e.action)', told.name, told.entry) USING edge.id;
    END LOOP;
    PERFORM set_config('clocher.purge', 'on', true);
    DELETE FROM audit_entries WHERE id <= edge.id AND NOT clocher_keeps_entry(action);
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('clocher.purge', '', true);
    standing := clocher_kept_hash(edge.id);
    INSERT INTO audit_purges (last_id, last_hash, removed, kept_hash) VALUES (edge.id, edge.hash, gone, standing);
    INSERT INTO audit_entries (actor, action, subject, detail) VALUES (
        coalesce(nullif(current_setting('clocher.actor', true), ''), 'purge'), 'audit.purge', 'audit',
        jsonb_build_object('last_id', edge.id, 'last_hash', encode(edge.hash, 'hex'), 'removed', gone,
            'kept_hash', encode(standing, 'hex'), 'days', kept));
    RETURN gone;
END $$;
REVOKE ALL ON FUNCTION clocher_purge_audit() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clocher_purge_audit() TO clocher_worker, clocher_staff;
