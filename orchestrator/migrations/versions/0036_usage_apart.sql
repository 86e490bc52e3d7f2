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
    IF EXISTS (SELECT FROM changed c LEFT JOIN resources r ON (r.id, r.member_id) = (c.resource_id, c.member_id)
            WHERE r.id IS NULL) THEN
        RAISE EXCEPTION 'usage of a resource that is not the member''s' USING ERRCODE = 'foreign_key_violation',
            TABLE = 'usage_intervals', CONSTRAINT = 'fk_usage_intervals_resource_id';
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
    DROP CONSTRAINT fk_usage_intervals_resource_id,
    DROP CONSTRAINT ck_usage_intervals_sound,
    ADD CONSTRAINT ck_usage_intervals_sound CHECK (quantity > 0
        AND lower_inc(during) AND NOT (upper_inc(during) OR upper_inf(during)));
DROP FUNCTION clocher_usage_box(bigint, bigint, tstzrange);

-- The same for what a month's lines point at.
CREATE FUNCTION clocher_keep_lines_true() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM changed c LEFT JOIN services s ON s.id = c.service_id
            WHERE c.service_id IS NOT NULL AND s.id IS NULL) THEN
        RAISE EXCEPTION 'a line of a service that does not exist' USING ERRCODE = 'foreign_key_violation',
            TABLE = 'statement_lines', CONSTRAINT = 'fk_statement_lines_service_id';
    END IF;
    IF EXISTS (SELECT FROM changed c LEFT JOIN prices p ON (p.id, p.meter_id) = (c.price_id, c.meter_id)
            WHERE (c.price_id IS NOT NULL OR c.meter_id IS NOT NULL) AND p.id IS NULL) THEN
        RAISE EXCEPTION 'a line at a price that is not its meter''s' USING ERRCODE = 'foreign_key_violation',
            TABLE = 'statement_lines', CONSTRAINT = 'fk_statement_lines_price_id';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER true_insert AFTER INSERT ON statement_lines REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_keep_lines_true();
CREATE TRIGGER true_update AFTER UPDATE ON statement_lines REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_keep_lines_true();
ALTER TABLE statement_lines
    DROP CONSTRAINT fk_statement_lines_service_id,
    DROP CONSTRAINT fk_statement_lines_price_id;

-- The other side of those references: what usage and lines point at stays (identities can't be changed, nor a price's
-- meter).
CREATE FUNCTION clocher_keep_metered() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    pointed boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I = $1)', TG_ARGV[0], TG_ARGV[1]) INTO pointed USING OLD.id;
    IF pointed THEN
        RAISE EXCEPTION '% points at it', TG_ARGV[0] USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER metered BEFORE DELETE ON meters
    FOR EACH ROW EXECUTE FUNCTION clocher_keep_metered('usage_intervals', 'meter_id');
CREATE TRIGGER metered BEFORE DELETE ON periods
    FOR EACH ROW EXECUTE FUNCTION clocher_keep_metered('usage_intervals', 'period_id');
CREATE TRIGGER metered BEFORE DELETE OR UPDATE OF member_id ON resources
    FOR EACH ROW EXECUTE FUNCTION clocher_keep_metered('usage_intervals', 'resource_id');
CREATE TRIGGER billed BEFORE DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION clocher_keep_metered('statement_lines', 'service_id');
CREATE TRIGGER billed BEFORE DELETE ON prices
    FOR EACH ROW EXECUTE FUNCTION clocher_keep_metered('statement_lines', 'price_id');

-- Each statement's lines are found by the unique (statement_id, position).
DROP INDEX ix_statement_lines_statement_id;
