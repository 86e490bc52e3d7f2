-- When a month's server hours were last compared with Nova's own, and each server's; a new comparison takes its place.
CREATE TABLE usage_checks (
    period_id BIGINT NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    read_by TEXT NOT NULL,
    CONSTRAINT pk_usage_checks PRIMARY KEY (period_id),
    CONSTRAINT fk_usage_checks_period_id FOREIGN KEY (period_id) REFERENCES periods (id)
);
CREATE TABLE usage_check_servers (
    period_id BIGINT NOT NULL,
    server TEXT NOT NULL,
    member_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    running NUMERIC NOT NULL,
    existing NUMERIC NOT NULL,
    cloud NUMERIC NOT NULL,
    reasons JSONB NOT NULL,
    odd BOOLEAN NOT NULL,
    CONSTRAINT pk_usage_check_servers PRIMARY KEY (period_id, server),
    CONSTRAINT fk_usage_check_servers_period_id FOREIGN KEY (period_id) REFERENCES usage_checks (period_id)
        ON DELETE CASCADE,
    CONSTRAINT fk_usage_check_servers_member_id FOREIGN KEY (member_id) REFERENCES members (id),
    CONSTRAINT ck_usage_check_servers_seconds CHECK (least(running, existing, cloud) >= 0)
);
CREATE INDEX ix_usage_check_servers_member_id ON usage_check_servers (member_id);
ALTER TABLE usage_check_servers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON usage_check_servers USING ((SELECT clocher_territory())
    OR member_id = (SELECT clocher_member()));
GRANT SELECT, INSERT, DELETE ON usage_checks, usage_check_servers TO clocher_staff;

-- What a month writes is a hundred times what was there: the planner has to know before the same transaction reads it.
CREATE FUNCTION clocher_learn_month() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    ANALYZE usage_intervals, statements, statement_lines;
END $$;
REVOKE ALL ON FUNCTION clocher_learn_month() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clocher_learn_month() TO clocher_staff;

-- The policies read settings only: a query over a whole month may use all processors.
ALTER FUNCTION clocher_member() PARALLEL SAFE;
ALTER FUNCTION clocher_territory() PARALLEL SAFE;
