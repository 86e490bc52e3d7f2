-- What the cloud told of things in members' projects, of the last two days.
CREATE TABLE cloud_notifications (
    id TEXT NOT NULL,
    member_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    cloud_id TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    told JSONB NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    judged_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_cloud_notifications PRIMARY KEY (id),
    CONSTRAINT fk_cloud_notifications_member_id FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE INDEX ix_cloud_notifications_thing ON cloud_notifications (kind, cloud_id);
CREATE INDEX ix_cloud_notifications_waiting ON cloud_notifications (member_id) WHERE judged_at IS NULL;
CREATE INDEX ix_cloud_notifications_read_at ON cloud_notifications (read_at);
ALTER TABLE cloud_notifications ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON cloud_notifications USING ((SELECT clocher_territory())
    OR member_id = (SELECT clocher_member()));
GRANT SELECT, INSERT, UPDATE, DELETE ON cloud_notifications TO clocher_worker;
GRANT SELECT ON cloud_notifications TO clocher_staff, clocher_web;

-- Where they come from, and how far they were read.
CREATE TABLE cloud_feeds (
    kind TEXT NOT NULL,
    file TEXT DEFAULT '' NOT NULL,
    position BIGINT DEFAULT 0 NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE,
    last_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_cloud_feeds PRIMARY KEY (kind)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON cloud_feeds TO clocher_worker;
GRANT SELECT ON cloud_feeds TO clocher_staff, clocher_web;
