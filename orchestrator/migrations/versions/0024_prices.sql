-- What the price of a meter is for: a unit's hour, a month, or once.
ALTER TABLE meters ADD COLUMN basis TEXT DEFAULT 'hour' NOT NULL,
    ADD CONSTRAINT ck_meters_basis CHECK (basis IN ('hour', 'month', 'once'));
INSERT INTO meters (id, code, unit, sku, label, basis) VALUES
    (9, 'activation', 'service', 'activation',
        '{"fr": "Mise en service d’une machine", "en": "Setting up a machine"}', 'once'),
    (10, 'activation_application', 'service', 'activation-application',
        '{"fr": "Mise en service d’une application", "en": "Setting up an application"}', 'once'),
    (11, 'minimum_service', 'service', 'minimum-service',
        '{"fr": "Minimum par service", "en": "Minimum of a service"}', 'month'),
    (12, 'minimum_member', 'member', 'minimum-member',
        '{"fr": "Minimum par membre", "en": "Minimum of a member"}', 'month');
-- Those above are ours; what applications count begins at 20.

-- One number for (meter, kind of member): nothing but whole numbers can stand beside a range without btree_gist.
CREATE FUNCTION clocher_price_box(meter_id bigint, member_kind text) RETURNS int8range
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN int8range(
    meter_id * 10 + coalesce(array_position(ARRAY['commune', 'epci', 'syndicat', 'public_body', 'company'], member_kind), 0),
    meter_id * 10 + coalesce(array_position(ARRAY['commune', 'epci', 'syndicat', 'public_body', 'company'], member_kind), 0),
    '[]');

-- A price for one kind of member stands before the general one; steps: from which quantity on another price holds.
ALTER TABLE prices ADD COLUMN member_kind TEXT, ADD COLUMN steps JSONB, ADD COLUMN told_on DATE,
    ADD CONSTRAINT ck_prices_member_kind
        CHECK (member_kind IN ('commune', 'epci', 'syndicat', 'public_body', 'company')),
    ADD CONSTRAINT ck_prices_steps CHECK (jsonb_array_length(steps) >= 1 AND steps -> 0 ->> 'above' = '0'),
    DROP CONSTRAINT prices_apart,
    ADD CONSTRAINT prices_apart
        EXCLUDE USING gist (clocher_price_box(meter_id, member_kind) WITH &&, during WITH &&);
CREATE OR REPLACE FUNCTION clocher_keep_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.hourly, NEW.meter_id, lower(NEW.during), NEW.member_kind, NEW.steps)
        IS DISTINCT FROM (OLD.hourly, OLD.meter_id, lower(OLD.during), OLD.member_kind, OLD.steps) THEN
        RAISE EXCEPTION 'a price never changes; end it and add another' USING ERRCODE = 'CL003';
    END IF;
    RETURN NEW;
END $$;

ALTER TABLE price_drafts ADD COLUMN member_kind TEXT, ADD COLUMN told_on DATE,
    ADD CONSTRAINT ck_price_drafts_member_kind
        CHECK (member_kind IN ('commune', 'epci', 'syndicat', 'public_body', 'company'));

ALTER TABLE statement_lines ADD COLUMN step BIGINT,
    DROP CONSTRAINT ck_statement_lines_kind,
    ADD CONSTRAINT ck_statement_lines_kind CHECK (kind IN ('usage', 'fee', 'minimum', 'share', 'adjustment', 'settlement')),
    DROP CONSTRAINT ck_statement_lines_shape,
    ADD CONSTRAINT ck_statement_lines_shape CHECK (
        (kind IN ('usage', 'adjustment', 'fee', 'minimum')) = (meter_id IS NOT NULL AND price_id IS NOT NULL)
        AND (kind IN ('usage', 'adjustment')) = (unit_seconds IS NOT NULL)
        AND (kind = 'share') = (pool_id IS NOT NULL AND share IS NOT NULL)
        AND (kind IN ('adjustment', 'settlement')) = (corrects_id IS NOT NULL)
        AND (kind = 'settlement') = (dispute_id IS NOT NULL)
        AND (corrects_position IS NULL OR kind IN ('adjustment', 'settlement'))
        AND (step IS NULL OR (kind IN ('usage', 'adjustment') AND step > 0)));

-- What an application counted of its trade, and when: facts, as events are. The count holds until the next one.
CREATE TABLE meter_samples (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    meter TEXT NOT NULL,
    quantity NUMERIC NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    flow_id BIGINT,
    CONSTRAINT pk_meter_samples PRIMARY KEY (id),
    CONSTRAINT uq_meter_samples_service_id_meter_at UNIQUE (service_id, meter, at),
    CONSTRAINT ck_meter_samples_positive CHECK (quantity >= 0),
    CONSTRAINT fk_meter_samples_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_meter_samples_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_meter_samples_flow_id FOREIGN KEY(flow_id) REFERENCES flows (id)
);
CREATE INDEX ix_meter_samples_member_id ON meter_samples (member_id);
CREATE INDEX ix_meter_samples_at ON meter_samples (at);
GRANT SELECT ON meter_samples TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT ON meter_samples TO clocher_staff, clocher_worker;
ALTER TABLE meter_samples ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON meter_samples USING (
    (SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON meter_samples
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_change();

ALTER TABLE flows DROP CONSTRAINT ck_flows_kind, ADD CONSTRAINT ck_flows_kind CHECK (kind IN (
    'create_server', 'delete_server', 'stop_server', 'start_server', 'reboot_server', 'resize_server', 'rename_server',
    'add_volume', 'grow_volume', 'remove_volume', 'add_address', 'remove_address', 'replace_keys', 'snapshot_server',
    'delete_snapshot', 'restore_server', 'renew_secret', 'backup_service', 'restore_service', 'tend_vault',
    'prove_backup', 'upgrade_service', 'export_service', 'count_service'));
