-- The territory's entry: that it is, for everybody; what it leads to, which tells who has what, for the worker.
CREATE TABLE entries (
    service_id BIGINT NOT NULL,
    domain TEXT NOT NULL,
    authority TEXT,
    routes JSONB NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_entries PRIMARY KEY (service_id),
    CONSTRAINT fk_entries_service_id FOREIGN KEY(service_id) REFERENCES services (id)
);
GRANT SELECT (service_id, domain, authority, set_at) ON entries TO clocher_web, clocher_staff;
GRANT SELECT, INSERT, UPDATE, DELETE ON entries TO clocher_worker;

-- What was seen from outside, counted by local day.
CREATE TABLE availability (
    service_id BIGINT NOT NULL,
    day DATE NOT NULL,
    member_id BIGINT NOT NULL,
    asked BIGINT NOT NULL,
    answered BIGINT NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
    good BOOLEAN NOT NULL,
    said TEXT,
    certificate_until TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_availability PRIMARY KEY (service_id, day),
    CONSTRAINT fk_availability_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_availability_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT ck_availability_counted CHECK (asked > 0 AND answered BETWEEN 0 AND asked),
    CONSTRAINT ck_availability_said CHECK (good = (said IS NULL))
);
CREATE INDEX ix_availability_member_id ON availability (member_id);
GRANT SELECT ON availability TO clocher_web, clocher_staff;
GRANT SELECT, INSERT, UPDATE ON availability TO clocher_worker;
ALTER TABLE availability ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON availability USING (
    (SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
