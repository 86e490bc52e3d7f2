-- What a service's console said when somebody asked: the portal asks, a worker reads it in the cloud, and it is
-- forgotten soon after. log: the last lines; screen: an address that opens the screen in a browser, where there is one.
CREATE TABLE console_readings (
    service_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    state TEXT DEFAULT 'waiting' NOT NULL,
    asked_by TEXT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE,
    log TEXT,
    screen TEXT,
    fault TEXT,
    CONSTRAINT pk_console_readings PRIMARY KEY (service_id),
    CONSTRAINT ck_console_readings_state CHECK (state IN ('waiting', 'ready', 'failed')),
    CONSTRAINT ck_console_readings_read CHECK ((read_at IS NULL) = (state = 'waiting')),
    CONSTRAINT fk_console_readings_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_console_readings_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
CREATE INDEX ix_console_readings_member_id ON console_readings (member_id);
GRANT SELECT, INSERT, UPDATE ON console_readings TO clocher_web, clocher_staff;
GRANT SELECT, UPDATE, DELETE ON console_readings TO clocher_worker;

ALTER TABLE console_readings ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON console_readings USING (
    (SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
