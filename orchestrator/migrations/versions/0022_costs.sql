-- What the platform really costs, entry by entry; each spreads its amount evenly over months.
CREATE TABLE cost_entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    kind TEXT NOT NULL,
    pool TEXT,
    label TEXT NOT NULL,
    account TEXT NOT NULL,
    section TEXT NOT NULL,
    dated DATE NOT NULL,
    starts DATE NOT NULL,
    months BIGINT NOT NULL,
    amount NUMERIC(14, 2) NOT NULL,
    prorata BOOLEAN DEFAULT false NOT NULL,
    supplier TEXT,
    reference TEXT,
    service_model TEXT,
    kwh NUMERIC,
    kwh_price NUMERIC,
    pue NUMERIC,
    annual NUMERIC,
    part NUMERIC,
    ends DATE,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_cost_entries PRIMARY KEY (id),
    CONSTRAINT ck_cost_entries_kind CHECK (kind IN ('supplier', 'depreciation', 'energy', 'staff')),
    CONSTRAINT ck_cost_entries_section CHECK (section IN ('fonctionnement', 'investissement')),
    CONSTRAINT ck_cost_entries_capital CHECK ((kind = 'depreciation') = (section = 'investissement')),
    CONSTRAINT ck_cost_entries_spread CHECK (months BETWEEN 1 AND 600 AND (kind = 'supplier' OR amount >= 0)),
    CONSTRAINT ck_cost_entries_model
        CHECK (service_model IS NULL OR kind = 'supplier' AND service_model IN ('iaas', 'paas', 'saas')),
    CONSTRAINT ck_cost_entries_energy CHECK ((kind = 'energy') = (num_nonnulls(kwh, kwh_price, pue) = 3)
        AND (kind <> 'energy' OR amount = round(kwh * kwh_price * pue, 2) AND pue >= 1)),
    CONSTRAINT ck_cost_entries_staff CHECK ((kind = 'staff') = (num_nonnulls(annual, part) = 2)
        AND (kind <> 'staff' OR amount = round(annual * part * months / 12, 2) AND part BETWEEN 0 AND 1))
);
-- The same invoice is never there twice.
CREATE UNIQUE INDEX uq_cost_entries_reference ON cost_entries (supplier, reference)
    WHERE reference IS NOT NULL AND (ends IS NULL OR ends > starts);
GRANT SELECT, INSERT ON cost_entries TO clocher_staff;
GRANT UPDATE (ends) ON cost_entries TO clocher_staff;

-- What each entry adds to a month: written with its draft, sealed with it.
CREATE TABLE cost_parts (
    period_id BIGINT NOT NULL,
    entry_id BIGINT NOT NULL,
    pool_id BIGINT,
    amount NUMERIC(14, 2) NOT NULL,
    CONSTRAINT pk_cost_parts PRIMARY KEY (period_id, entry_id),
    CONSTRAINT fk_cost_parts_period_id FOREIGN KEY(period_id) REFERENCES periods (id),
    CONSTRAINT fk_cost_parts_entry_id FOREIGN KEY(entry_id) REFERENCES cost_entries (id),
    CONSTRAINT fk_cost_parts_pool_id FOREIGN KEY(pool_id) REFERENCES cost_pools (id)
);
CREATE INDEX ix_cost_parts_pool_id ON cost_parts (pool_id);
GRANT SELECT, INSERT, DELETE ON cost_parts TO clocher_staff;
CREATE TRIGGER sealed_insert AFTER INSERT ON cost_parts REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_delete AFTER DELETE ON cost_parts REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_from AFTER UPDATE ON cost_parts REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_to AFTER UPDATE ON cost_parts REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_sealed();
CREATE TRIGGER sealed_truncate BEFORE TRUNCATE ON cost_parts
    FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_truncate();

-- What of a pool was declared; the rest are its parts. Closed months had nothing else.
ALTER TABLE cost_pools ADD COLUMN declared NUMERIC(14, 2) DEFAULT 0 NOT NULL;
ALTER TABLE cost_pools DISABLE TRIGGER USER;
UPDATE cost_pools SET declared = amount;
ALTER TABLE cost_pools ENABLE TRIGGER USER;

-- How a member pays, from a month on.
CREATE TABLE billing_modes (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    during DATERANGE NOT NULL,
    mode TEXT NOT NULL,
    withheld NUMERIC(14, 2),
    reference TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_billing_modes PRIMARY KEY (id),
    CONSTRAINT fk_billing_modes_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT billing_modes_apart EXCLUDE USING gist (int8range(member_id, member_id, '[]') WITH &&, during WITH &&),
    CONSTRAINT ck_billing_modes_mode CHECK (mode IN ('title', 'deduction', 'information')),
    CONSTRAINT ck_billing_modes_withheld CHECK ((mode = 'deduction') = (withheld IS NOT NULL) AND withheld >= 0),
    CONSTRAINT ck_billing_modes_during CHECK (NOT isempty(during))
);
GRANT SELECT ON billing_modes TO clocher_web, clocher_staff;
GRANT INSERT, UPDATE, DELETE ON billing_modes TO clocher_staff;
ALTER TABLE billing_modes ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON billing_modes USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));

-- As the statement was billed; nothing: it was closed before modes were told.
ALTER TABLE statements
    ADD COLUMN billing TEXT,
    ADD COLUMN withheld NUMERIC(14, 2),
    ADD CONSTRAINT ck_statements_billing
        CHECK (billing IN ('title', 'deduction', 'information') AND (billing = 'deduction') = (withheld IS NOT NULL));

-- Who booked a cost and who changed how a member pays is kept as long as the accounts.
CREATE OR REPLACE FUNCTION clocher_keeps_entry(action text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT split_part(action, '.', 1) IN
        ('period', 'statement', 'price', 'pool', 'key', 'audit', 'cost_entry', 'billing')
$$;
