CREATE TABLE disputes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    statement_id BIGINT NOT NULL,
    period_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    reason TEXT NOT NULL,
    opened_by TEXT NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    answer TEXT,
    answered_by TEXT,
    answered_at TIMESTAMP WITH TIME ZONE,
    quantity NUMERIC,
    amount NUMERIC(14, 2),
    decision TEXT,
    decided_by TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_disputes PRIMARY KEY (id),
    CONSTRAINT ck_disputes_state CHECK (state IN ('open', 'answered', 'settled', 'rejected', 'withdrawn')),
    CONSTRAINT ck_disputes_decided CHECK ((state IN ('open', 'answered')) = (decided_at IS NULL) AND (state = 'settled') = (amount IS NOT NULL) AND (state IN ('settled', 'rejected')) = (decision IS NOT NULL) AND (quantity IS NULL OR state = 'settled') AND amount <> 0),
    CONSTRAINT fk_disputes_statement_id FOREIGN KEY (statement_id, period_id, member_id) REFERENCES statements (id, period_id, member_id),
    CONSTRAINT fk_disputes_member_id FOREIGN KEY (member_id) REFERENCES members (id)
);
CREATE INDEX ix_disputes_member_id ON disputes (member_id);
-- One at a time on each line.
CREATE UNIQUE INDEX ix_disputes_statement_id_position ON disputes (statement_id, position) WHERE state IN ('open', 'answered');

ALTER TABLE disputes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON disputes USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
GRANT SELECT ON disputes TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT, UPDATE (state, decided_by, decided_at) ON disputes TO clocher_web;
GRANT INSERT, UPDATE ON disputes TO clocher_staff;

-- What was decided stays: a closed line may be made of it.
CREATE FUNCTION clocher_keep_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.decided_at IS NOT NULL OR TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a dispute that was decided never changes' USING ERRCODE = 'CL001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON disputes FOR EACH ROW EXECUTE FUNCTION clocher_keep_decision();

ALTER TABLE statement_lines
    ADD COLUMN dispute_id BIGINT,
    DROP CONSTRAINT ck_statement_lines_kind,
    DROP CONSTRAINT ck_statement_lines_shape,
    ADD CONSTRAINT fk_statement_lines_dispute_id FOREIGN KEY (dispute_id) REFERENCES disputes (id),
    ADD CONSTRAINT ck_statement_lines_kind CHECK (kind IN ('usage', 'share', 'adjustment', 'settlement')),
    ADD CONSTRAINT ck_statement_lines_shape CHECK ((kind IN ('usage', 'adjustment')) = (meter_id IS NOT NULL AND price_id IS NOT NULL AND unit_seconds IS NOT NULL) AND (kind = 'share') = (pool_id IS NOT NULL AND share IS NOT NULL) AND (kind IN ('adjustment', 'settlement')) = (corrects_id IS NOT NULL) AND (kind = 'settlement') = (dispute_id IS NOT NULL) AND (corrects_position IS NULL OR kind IN ('adjustment', 'settlement')));
CREATE INDEX ix_statement_lines_dispute_id ON statement_lines (dispute_id) WHERE dispute_id IS NOT NULL;
