-- When members let their applications be upgraded; who has no row has the territory's window.
CREATE TABLE maintenance_windows (
    member_id BIGINT NOT NULL,
    weekdays JSONB NOT NULL,
    hour BIGINT NOT NULL,
    hours BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_maintenance_windows PRIMARY KEY (member_id),
    CONSTRAINT fk_maintenance_windows_member_id FOREIGN KEY (member_id) REFERENCES members (id),
    CONSTRAINT ck_maintenance_windows_hours CHECK (hour BETWEEN 0 AND 23 AND hours BETWEEN 1 AND 12),
    CONSTRAINT ck_maintenance_windows_weekdays CHECK (jsonb_array_length(weekdays) BETWEEN 1 AND 7)
);
ALTER TABLE maintenance_windows ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON maintenance_windows USING ((SELECT clocher_territory())
    OR member_id = (SELECT clocher_member()));
GRANT SELECT, INSERT, UPDATE, DELETE ON maintenance_windows TO clocher_web, clocher_staff;
GRANT SELECT ON maintenance_windows TO clocher_worker;

-- Upgrades that the DSI planned, each announced to its member before it begins; one open at a time for a service.
CREATE TABLE planned_upgrades (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    version TEXT NOT NULL,
    brings JSONB NOT NULL,
    state TEXT DEFAULT 'planned' NOT NULL,
    not_before TIMESTAMP WITH TIME ZONE NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    told_at TIMESTAMP WITH TIME ZONE,
    postponed_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    flow_id BIGINT,
    said TEXT,
    planned_by TEXT NOT NULL,
    planned_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_planned_upgrades PRIMARY KEY (id),
    CONSTRAINT ck_planned_upgrades_state CHECK (state IN ('planned', 'started', 'done', 'failed', 'cancelled')),
    CONSTRAINT ck_planned_upgrades_window CHECK (ends_at > starts_at AND starts_at >= not_before),
    CONSTRAINT ck_planned_upgrades_postponed CHECK ((postponed_at IS NULL) = (reason IS NULL)),
    CONSTRAINT ck_planned_upgrades_ended CHECK ((state IN ('planned', 'started')) = (ended_at IS NULL)),
    CONSTRAINT fk_planned_upgrades_member_id FOREIGN KEY (member_id) REFERENCES members (id),
    CONSTRAINT fk_planned_upgrades_service_id FOREIGN KEY (service_id) REFERENCES services (id),
    CONSTRAINT fk_planned_upgrades_flow_id FOREIGN KEY (flow_id) REFERENCES flows (id)
);
CREATE INDEX ix_planned_upgrades_member_id ON planned_upgrades (member_id);
CREATE UNIQUE INDEX uq_planned_upgrades_open ON planned_upgrades (service_id) WHERE state IN ('planned', 'started');
ALTER TABLE planned_upgrades ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON planned_upgrades USING ((SELECT clocher_territory())
    OR member_id = (SELECT clocher_member()));
GRANT SELECT ON planned_upgrades TO clocher_web;
-- Its member puts it off, or moves its window.
GRANT UPDATE (not_before, starts_at, ends_at, postponed_at, reason) ON planned_upgrades TO clocher_web;
GRANT SELECT, INSERT, UPDATE ON planned_upgrades TO clocher_staff;
GRANT SELECT, UPDATE ON planned_upgrades TO clocher_worker;
