-- What is agreed with a member, from a month on: VAT, references, where its invoices go. The newest of a month counts.
CREATE TABLE contracts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    since DATE NOT NULL,
    regime TEXT NOT NULL,
    reference TEXT,
    vat_number TEXT,
    street TEXT,
    postcode TEXT,
    city TEXT,
    service_code TEXT,
    engagement TEXT,
    service_required BOOLEAN DEFAULT false NOT NULL,
    engagement_required BOOLEAN DEFAULT false NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_contracts PRIMARY KEY (id),
    CONSTRAINT fk_contracts_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT ck_contracts_regime CHECK (regime IN ('out_of_scope', 'exempt', 'normal')),
    CONSTRAINT ck_contracts_since CHECK (extract(day FROM since) = 1),
    CONSTRAINT ck_contracts_required CHECK (
        (service_code IS NOT NULL OR NOT service_required) AND (engagement IS NOT NULL OR NOT engagement_required))
);
CREATE INDEX ix_contracts_member_id_since ON contracts (member_id, since);
ALTER TABLE contracts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON contracts USING ((SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));

-- Rates of VAT, the words of the law, and what a unit costs: data with their source, and the day somebody checked it.
CREATE TABLE vat_rates (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    since DATE NOT NULL,
    rate NUMERIC(5, 2) NOT NULL,
    source TEXT NOT NULL,
    checked_on DATE,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_vat_rates PRIMARY KEY (id),
    CONSTRAINT ck_vat_rates_rate CHECK (rate > 0 AND rate < 100)
);
CREATE TABLE legal_texts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    code TEXT NOT NULL,
    since DATE NOT NULL,
    text JSONB NOT NULL,
    source TEXT NOT NULL,
    checked_on DATE,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_legal_texts PRIMARY KEY (id),
    CONSTRAINT ck_legal_texts_code CHECK (
        code IN ('out_of_scope', 'exempt', 'normal', 'terms', 'late', 'recovery', 'discount'))
);
CREATE TABLE unit_costs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    meter_id BIGINT NOT NULL,
    since DATE NOT NULL,
    hourly NUMERIC(18, 8) NOT NULL,
    source TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_unit_costs PRIMARY KEY (id),
    CONSTRAINT fk_unit_costs_meter_id FOREIGN KEY(meter_id) REFERENCES meters (id),
    CONSTRAINT ck_unit_costs_hourly CHECK (hourly >= 0),
    CONSTRAINT ck_unit_costs_since CHECK (extract(day FROM since) = 1)
);

GRANT SELECT ON contracts, vat_rates, legal_texts, unit_costs TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT ON contracts, vat_rates, legal_texts, unit_costs TO clocher_staff;

-- What is written stays: a correction is a newer row.
DO $$
DECLARE
    kept text;
BEGIN
    FOREACH kept IN ARRAY ARRAY['contracts', 'vat_rates', 'legal_texts', 'unit_costs'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION clocher_refuse_change()', kept);
    END LOOP;
END $$;

-- A statement's VAT, in euros, on its total: by the contract and the rate of the month's last day. Statements that were
-- closed before have none.
ALTER TABLE statements
    ADD COLUMN vat_regime TEXT,
    ADD COLUMN vat_rate NUMERIC(5, 2),
    ADD COLUMN vat NUMERIC(14, 2),
    ADD CONSTRAINT ck_statements_vat_regime CHECK (vat_regime IN ('out_of_scope', 'exempt', 'normal')),
    ADD CONSTRAINT ck_statements_vat CHECK (CASE vat_regime WHEN 'normal' THEN num_nonnulls(vat_rate, vat) = 2
        ELSE vat_rate IS NULL AND coalesce(vat, 0) = 0 END);

-- Who agreed on what, and by which rate, is kept as long as the accounts.
CREATE OR REPLACE FUNCTION clocher_keeps_entry(action text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT split_part(action, '.', 1) IN
        ('period', 'statement', 'price', 'pool', 'key', 'audit', 'cost_entry', 'billing', 'dispute', 'contract', 'vat')
$$;

-- What a French installation begins with. No day of checking: it waits for finance to read it in its source.
INSERT INTO vat_rates (since, rate, source, made_by) VALUES ('2014-01-01', 20.00, 'CGI, art. 278', 'clocher');
INSERT INTO legal_texts (code, since, text, source, made_by) VALUES
    ('out_of_scope', '2000-01-01', '{"fr": "Hors du champ d’application de la TVA, article 256 B du CGI.",
        "en": "Outside the scope of VAT, article 256 B of the French tax code (CGI)."}',
        'CGI, art. 256 B ; BOFiP 10480', 'clocher'),
    ('exempt', '2000-01-01', '{"fr": "Exonération de TVA, article 261 B du CGI : part exacte des dépenses communes.",
        "en": "Exempt from VAT, article 261 B of the French tax code (CGI): exact share of common expenses."}',
        'CGI, art. 261 B ; BOI-TVA-CHAMP-30-10-40', 'clocher'),
    ('normal', '2000-01-01', '{"fr": "TVA au taux normal, article 278 du CGI.",
        "en": "VAT at the standard rate, article 278 of the French tax code (CGI)."}',
        'CGI, art. 278', 'clocher'),
    ('terms', '2000-01-01', '{"fr": "À payer à réception de l’avis des sommes à payer.",
        "en": "To be paid on receipt of the payment notice."}',
        'Usage des titres de recettes', 'clocher'),
    ('late', '2000-01-01', '{"fr": "Pénalités de retard : trois fois le taux d’intérêt légal.",
        "en": "Late payment: three times the legal interest rate."}',
        'Code de commerce, art. L.441-10', 'clocher'),
    ('recovery', '2000-01-01', '{"fr": "Indemnité forfaitaire pour frais de recouvrement : 40 €.",
        "en": "Fixed compensation for recovery costs: €40."}',
        'Code de commerce, art. L.441-10 et D.441-5', 'clocher'),
    ('discount', '2000-01-01', '{"fr": "Pas d’escompte pour paiement anticipé.",
        "en": "No discount for early payment."}',
        'Code de commerce, art. L.441-9', 'clocher');
