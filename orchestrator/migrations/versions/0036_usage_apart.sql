-- A month of usage is written by one statement of up to a million rows. An exclusion constraint and a reference look at
-- each row alone, and took two thirds of a draft; a trigger looks at all of them at once and refuses the same.
--
-- It is as strict when two write at once: a month has one writer at a time, because the period's row is locked before
-- its usage is read, with what others committed meanwhile (an older snapshot is refused); and two months can't share an
-- instant (periods_apart), nor can usage leave its month.
CREATE FUNCTION clocher_keep_usage_apart() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'usage is written in read committed transactions' USING ERRCODE = 'feature_not_supported';
    END IF;
    PERFORM FROM periods WHERE id IN (SELECT period_id FROM changed) ORDER BY id FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM changed WHERE meter_id NOT IN (SELECT id FROM meters)) THEN
        RAISE EXCEPTION 'usage of a meter that does not exist'
            USING ERRCODE = 'foreign_key_violation', TABLE = 'usage_intervals', CONSTRAINT = 'fk_usage_intervals_meter_id';
    END IF;
    IF EXISTS (SELECT FROM changed c LEFT JOIN periods p ON p.id = c.period_id
            WHERE (p.during @> c.during) IS NOT TRUE) THEN
        RAISE EXCEPTION 'usage outside its period'
            USING ERRCODE = 'foreign_key_violation', TABLE = 'usage_intervals', CONSTRAINT = 'fk_usage_intervals_period_id';
    END IF;
    IF EXISTS (SELECT FROM (
            SELECT lower(u.during) AS since, lag(upper(u.during)) OVER (
                PARTITION BY u.resource_id, u.meter_id ORDER BY u.during) AS before
            FROM usage_intervals u WHERE u.period_id IN (SELECT period_id FROM changed)
                AND (u.member_id, u.resource_id) IN (SELECT member_id, resource_id FROM changed)) ordered
            WHERE since < before) THEN
        RAISE EXCEPTION 'usage overlaps usage of the same resource and meter'
            USING ERRCODE = 'exclusion_violation', TABLE = 'usage_intervals', CONSTRAINT = 'usage_apart';
    END IF;
    RETURN NULL;
END $$;
-- Its name comes before those of the seals, which lock the same period less.
CREATE TRIGGER apart_insert AFTER INSERT ON usage_intervals REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_keep_usage_apart();
CREATE TRIGGER apart_update AFTER UPDATE ON usage_intervals REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_keep_usage_apart();
ALTER TABLE usage_intervals
    DROP CONSTRAINT usage_apart,
    DROP CONSTRAINT fk_usage_intervals_period_id,
    DROP CONSTRAINT fk_usage_intervals_meter_id,
    DROP CONSTRAINT ck_usage_intervals_sound,
    ADD CONSTRAINT ck_usage_intervals_sound CHECK (quantity > 0
        AND lower_inc(during) AND NOT (upper_inc(during) OR upper_inf(during)));
DROP FUNCTION clocher_usage_box(bigint, bigint, tstzrange);

-- The other side of those two references: what usage points at stays (identities can't be changed).
CREATE FUNCTION clocher_keep_metered() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'meters' AND EXISTS (SELECT FROM usage_intervals WHERE meter_id = OLD.id)
        OR TG_TABLE_NAME = 'periods' AND EXISTS (SELECT FROM usage_intervals WHERE period_id = OLD.id) THEN
        RAISE EXCEPTION 'usage points at it' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER metered BEFORE DELETE ON meters FOR EACH ROW EXECUTE FUNCTION clocher_keep_metered();
CREATE TRIGGER metered BEFORE DELETE ON periods FOR EACH ROW EXECUTE FUNCTION clocher_keep_metered();

-- Each statement's lines are found by the unique (statement_id, position).
DROP INDEX ix_statement_lines_statement_id;
