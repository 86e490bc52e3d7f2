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
GRANT INSERT, UPDATE, DELETE ON cost_days TO clocher_worker;

CREATE TABLE snapshot_schedules (
    service_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    weekdays JSONB NOT NULL,
    daily BIGINT NOT NULL,
    weekly BIGINT NOT NULL,
    monthly BIGINT NOT NULL,
    handled_until TIMESTAMP WITH TIME ZONE NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_snapshot_schedules PRIMARY KEY (service_id),
    CONSTRAINT fk_snapshot_schedules_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_snapshot_schedules_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT ck_snapshot_schedules_hour CHECK (hour BETWEEN 0 AND 23),
    CONSTRAINT ck_snapshot_schedules_weekdays CHECK (jsonb_array_length(weekdays) BETWEEN 1 AND 7),
    CONSTRAINT ck_snapshot_schedules_kept
        CHECK (least(daily, weekly, monthly) >= 0 AND daily + weekly + monthly > 0)
);
CREATE INDEX ix_snapshot_schedules_member_id ON snapshot_schedules (member_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON snapshot_schedules TO clocher_web, clocher_staff;
GRANT SELECT, UPDATE ON snapshot_schedules TO clocher_worker;

CREATE TABLE scheduled_snapshots (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    snapshot_id BIGINT NOT NULL,
    CONSTRAINT pk_scheduled_snapshots PRIMARY KEY (id),
    CONSTRAINT fk_scheduled_snapshots_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_scheduled_snapshots_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_scheduled_snapshots_snapshot_id FOREIGN KEY(snapshot_id) REFERENCES snapshots (id),
    CONSTRAINT uq_scheduled_snapshots_snapshot_id UNIQUE (snapshot_id),
    CONSTRAINT uq_scheduled_snapshots_service_id_due_at UNIQUE (service_id, due_at)
);
CREATE INDEX ix_scheduled_snapshots_member_id ON scheduled_snapshots (member_id);
GRANT SELECT ON scheduled_snapshots TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT ON scheduled_snapshots TO clocher_worker;

DO $$
DECLARE
    secured text;
BEGIN
    FOREACH secured IN ARRAY ARRAY['cost_days', 'snapshot_schedules', 'scheduled_snapshots'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY own_rows ON %I USING ((SELECT clocher_territory())'
            ' OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
END $$;
