-- When closing began, by the database's clock, as events have it: what was told later may be missing in the period.
ALTER TABLE periods ADD COLUMN sealed_from TIMESTAMP WITH TIME ZONE;
ALTER TABLE periods DISABLE TRIGGER USER;
UPDATE periods SET sealed_from = closed_at WHERE state = 'closed';
ALTER TABLE periods ENABLE TRIGGER USER;
ALTER TABLE periods ADD CONSTRAINT ck_periods_sealed_from CHECK ((state = 'closed') = (sealed_from IS NOT NULL));

-- Events come in the order in which they are told: a summary of each stretch of the table finds the latest.
CREATE INDEX ix_resource_events_recorded_at ON resource_events USING brin (recorded_at);

-- A line of a month says what it corrects in one that was closed before: month, and place in the member's statement.
ALTER TABLE statement_lines
    ADD COLUMN corrects_id BIGINT,
    ADD COLUMN corrects_position BIGINT,
    DROP CONSTRAINT ck_statement_lines_kind,
    DROP CONSTRAINT ck_statement_lines_shape,
    ADD CONSTRAINT fk_statement_lines_corrects_id FOREIGN KEY (corrects_id) REFERENCES periods (id),
    ADD CONSTRAINT ck_statement_lines_kind CHECK (kind IN ('usage', 'share', 'adjustment')),
    ADD CONSTRAINT ck_statement_lines_shape CHECK ((kind IN ('usage', 'adjustment')) = (meter_id IS NOT NULL AND price_id IS NOT NULL AND unit_seconds IS NOT NULL) AND (kind = 'share') = (pool_id IS NOT NULL AND share IS NOT NULL) AND (kind = 'adjustment') = (corrects_id IS NOT NULL) AND (corrects_position IS NULL OR kind = 'adjustment'));
CREATE INDEX ix_statement_lines_corrects_id ON statement_lines (corrects_id) WHERE corrects_id IS NOT NULL;

-- What was counted of a resource in a closed month and what is known now; sealed with the month whose lines it makes.
CREATE TABLE usage_corrections (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    period_id BIGINT NOT NULL,
    corrects_id BIGINT NOT NULL,
    resource_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    meter_id BIGINT NOT NULL,
    counted NUMERIC NOT NULL,
    quantity NUMERIC NOT NULL,
    during TSTZRANGE NOT NULL,
    CONSTRAINT pk_usage_corrections PRIMARY KEY (id),
    CONSTRAINT uq_usage_corrections_period_id_resource_id_meter_id_during UNIQUE (period_id, resource_id, meter_id, during),
    CONSTRAINT ck_usage_corrections_sound CHECK (counted >= 0 AND quantity >= 0 AND counted <> quantity AND period_id <> corrects_id AND lower_inc(during) AND NOT (upper_inc(during) OR upper_inf(during))),
    CONSTRAINT fk_usage_corrections_period_id FOREIGN KEY (period_id) REFERENCES periods (id),
    CONSTRAINT fk_usage_corrections_corrects_id FOREIGN KEY (corrects_id) REFERENCES periods (id),
    CONSTRAINT fk_usage_corrections_resource_id FOREIGN KEY (resource_id, member_id) REFERENCES resources (id, member_id),
    CONSTRAINT fk_usage_corrections_meter_id FOREIGN KEY (meter_id) REFERENCES meters (id)
);
CREATE INDEX ix_usage_corrections_corrects_id_member_id ON usage_corrections (corrects_id, member_id);

ALTER TABLE usage_corrections ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON usage_corrections
    USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
GRANT SELECT ON usage_corrections TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT, UPDATE, DELETE ON usage_corrections TO clocher_staff;

CREATE TRIGGER sealed_insert AFTER INSERT ON usage_corrections REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_delete AFTER DELETE ON usage_corrections REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_from AFTER UPDATE ON usage_corrections REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_to AFTER UPDATE ON usage_corrections REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_truncate BEFORE TRUNCATE ON usage_corrections
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_truncate();
