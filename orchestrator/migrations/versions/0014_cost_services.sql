-- What each service costs in the present month, counted with cost_days: a member with a thousand services reads a
-- thousand rows instead of a month of events.
CREATE TABLE cost_services (
    service_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    amount NUMERIC(14, 2) NOT NULL,
    ahead NUMERIC(14, 2) NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_cost_services PRIMARY KEY (service_id),
    CONSTRAINT fk_cost_services_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_cost_services_member_id FOREIGN KEY(member_id) REFERENCES members (id)
) WITH (fillfactor = 50);
CREATE INDEX ix_cost_services_member_id ON cost_services (member_id);
GRANT SELECT ON cost_services TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT, UPDATE, DELETE ON cost_services TO clocher_worker;
ALTER TABLE cost_services ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON cost_services USING (
    (SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
