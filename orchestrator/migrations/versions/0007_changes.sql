-- Orders that change a service. Each keeps the whole that the service becomes, at its frozen price; `difference` is what
-- changes in euros a month. One flow does it; one waits at a time.
ALTER TABLE orders ADD COLUMN difference NUMERIC DEFAULT '0' NOT NULL;
UPDATE orders SET difference = monthly;
ALTER TABLE orders
    DROP CONSTRAINT ck_orders_kind,
    DROP CONSTRAINT ck_orders_service,
    ADD CONSTRAINT ck_orders_kind CHECK (kind IN ('create', 'resize', 'volume', 'address')),
    ADD CONSTRAINT ck_orders_service CHECK (
        CASE kind WHEN 'create' THEN (state = 'approved') = (service_id IS NOT NULL) ELSE service_id IS NOT NULL END);
CREATE UNIQUE INDEX uq_orders_waiting_change ON orders (service_id) WHERE state = 'waiting' AND kind <> 'create';

-- Newest first of one member, of one service: read from the end of an index, whatever the others have.
CREATE INDEX ix_services_member_id_id ON services (member_id, id);
CREATE INDEX ix_orders_member_id_id ON orders (member_id, id);
CREATE INDEX ix_flows_member_id_id ON flows (member_id, id);
CREATE INDEX ix_flows_service_id_id ON flows (service_id, id);
CREATE INDEX ix_audit_entries_member_id_id ON audit_entries (member_id, id);
CREATE INDEX ix_orders_waiting ON orders (member_id, id) WHERE state = 'waiting';
DROP INDEX ix_services_member_id, ix_orders_member_id, ix_flows_member_id, ix_flows_service_id,
    ix_audit_entries_member_id;
-- A member's usage of a period, without reading everybody's.
CREATE INDEX ix_usage_intervals_period_id_member_id ON usage_intervals (period_id, member_id);
DROP INDEX ix_usage_intervals_period_id;

CREATE TABLE cost_days (
    member_id BIGINT NOT NULL,
    day DATE NOT NULL,
    meter_id BIGINT NOT NULL,
    amount NUMERIC(14, 2) NOT NULL,
    ahead NUMERIC(14, 2) DEFAULT '0' NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_cost_days PRIMARY KEY (member_id, day, meter_id),
    CONSTRAINT fk_cost_days_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_cost_days_meter_id FOREIGN KEY(meter_id) REFERENCES meters (id)
);
CREATE INDEX ix_cost_days_day ON cost_days (day);
GRANT SELECT ON cost_days TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT, DELETE ON cost_days TO clocher_worker;

DO $$
DECLARE
    secured text;
BEGIN
    FOREACH secured IN ARRAY ARRAY['cost_days'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY own_rows ON %I USING ((SELECT clocher_territory())'
            ' OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
END $$;
