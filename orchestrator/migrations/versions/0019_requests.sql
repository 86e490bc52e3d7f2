-- Requests to the API in the present minute by who asks. A crash may lose them: unlogged, so that counting costs little.
CREATE UNLOGGED TABLE requests (
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    minute BIGINT NOT NULL,
    count BIGINT NOT NULL,
    CONSTRAINT pk_requests PRIMARY KEY (source, kind),
    CONSTRAINT ck_requests_kind CHECK (kind IN ('read', 'change'))
) WITH (fillfactor = 50);
CREATE INDEX ix_requests_minute ON requests (minute);
GRANT SELECT, INSERT, UPDATE, DELETE ON requests TO clocher_door;
ALTER TABLE requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY door_only ON requests USING ((SELECT clocher_territory()) OR (SELECT clocher_at_door()));
