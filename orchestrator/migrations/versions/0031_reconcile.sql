-- Who says that something happened: our own flow, or the comparison with the cloud.
ALTER TABLE resource_events
    ADD COLUMN source TEXT NOT NULL DEFAULT 'flow',
    ADD CONSTRAINT ck_resource_events_source CHECK (source IN ('flow', 'reconcile', 'notification'));
CREATE INDEX ix_resource_events_found ON resource_events (id) WHERE source <> 'flow';

-- A service of the state `outside` was made by hand in a member's project: it is metered, and nothing else.
ALTER TABLE services DROP CONSTRAINT ck_services_state, ADD CONSTRAINT ck_services_state CHECK (state IN (
    'creating', 'active', 'stopping', 'stopped', 'starting', 'rebooting', 'resizing', 'restoring', 'deleting',
    'deleted', 'failed', 'outside'
));

-- Until when the cloud was read, member by member.
CREATE TABLE cloud_readings (
    member_id BIGINT NOT NULL,
    read_until TIMESTAMP WITH TIME ZONE,
    changed_since TIMESTAMP WITH TIME ZONE,
    tried_at TIMESTAMP WITH TIME ZONE,
    error_code TEXT,
    CONSTRAINT pk_cloud_readings PRIMARY KEY (member_id),
    CONSTRAINT fk_cloud_readings_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
GRANT SELECT ON cloud_readings TO clocher_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON cloud_readings TO clocher_worker, clocher_staff;
ALTER TABLE cloud_readings ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON cloud_readings USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
