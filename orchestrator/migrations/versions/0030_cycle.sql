-- The yearly cycle (CGCT, art. D.5211-16). The unit cost of a year, as members were told it.
CREATE TABLE year_terms (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    year BIGINT NOT NULL,
    unit JSONB NOT NULL,
    base_year BIGINT,
    costs NUMERIC(14, 2) NOT NULL,
    units NUMERIC(20, 6) NOT NULL,
    costs_change NUMERIC(14, 2) NOT NULL,
    units_change NUMERIC(20, 6) NOT NULL,
    unit_cost NUMERIC(18, 6) NOT NULL,
    frequency TEXT NOT NULL,
    told_on DATE NOT NULL,
    source TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_year_terms PRIMARY KEY (id),
    CONSTRAINT ck_year_terms_frequency CHECK (frequency IN ('monthly', 'quarterly', 'yearly')),
    CONSTRAINT ck_year_terms_positive CHECK (unit_cost >= 0 AND units + units_change > 0),
    -- Half up to the millionth, said without a division.
    CONSTRAINT ck_year_terms_unit_cost CHECK (
        abs(unit_cost * (units + units_change) - (costs + costs_change)) <= (units + units_change) * 0.0000005),
    CONSTRAINT ck_year_terms_base
        CHECK ((base_year IS NULL) = (costs = 0 AND units = 0) AND base_year < year)
);
CREATE INDEX ix_year_terms_year ON year_terms (year);

-- What each member's convention foresees, by offer or meter.
CREATE TABLE forecasts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    year BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    units NUMERIC(18, 6) NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    reference TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_forecasts PRIMARY KEY (id),
    CONSTRAINT fk_forecasts_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT ck_forecasts_kind CHECK (kind IN ('offer', 'meter')),
    CONSTRAINT ck_forecasts_span CHECK (units >= 0 AND first BETWEEN 1 AND last AND last <= 12)
);
CREATE INDEX ix_forecasts_member_id_year ON forecasts (member_id, year);
ALTER TABLE forecasts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON forecasts USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));

-- Calls on account and the settlement of a year: sealed as they are written, each member's in a chain.
CREATE TABLE dues (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    year BIGINT NOT NULL,
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    dated DATE NOT NULL,
    amount NUMERIC(14, 2) NOT NULL,
    document TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_dues PRIMARY KEY (id),
    CONSTRAINT fk_dues_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT uq_dues_hash UNIQUE (hash),
    CONSTRAINT ck_dues_kind CHECK (kind IN ('call', 'settlement')),
    CONSTRAINT ck_dues_number CHECK ((kind = 'call') = (number > 0) AND number BETWEEN 0 AND 99),
    CONSTRAINT ck_dues_call CHECK (kind = 'settlement' OR amount > 0),
    CONSTRAINT ck_dues_hash CHECK (hash = encode(sha256(convert_to(document, 'UTF8')), 'hex'))
);
CREATE UNIQUE INDEX uq_dues_number ON dues (member_id, year, number);
CREATE UNIQUE INDEX uq_dues_chain ON dues (member_id, previous_hash);
ALTER TABLE dues ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON dues USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));

GRANT SELECT ON year_terms, forecasts, dues TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT ON year_terms, forecasts, dues TO clocher_staff;
DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['year_terms', 'forecasts', 'dues'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_change()', kept);
    END LOOP;
END $$;

-- A member may pay by calls on account.
ALTER TABLE billing_modes
    DROP CONSTRAINT ck_billing_modes_mode,
    ADD CONSTRAINT ck_billing_modes_mode CHECK (mode IN ('title', 'calls', 'deduction', 'information'));
ALTER TABLE statements
    DROP CONSTRAINT ck_statements_billing,
    ADD CONSTRAINT ck_statements_billing CHECK (billing IN ('title', 'calls', 'deduction', 'information')
        AND (billing = 'deduction') = (withheld IS NOT NULL));
