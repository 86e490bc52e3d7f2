-- Mails: whoever changes something may queue one; only the worker reads what it says --------------------------------

CREATE TABLE mails (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    ref UUID DEFAULT gen_random_uuid() NOT NULL,
    receiver TEXT NOT NULL,
    template TEXT NOT NULL,
    language TEXT NOT NULL,
    facts JSONB NOT NULL,
    entry_id BIGINT,
    state TEXT DEFAULT 'queued' NOT NULL,
    attempts BIGINT DEFAULT 0 NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    error TEXT,
    queued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_mails PRIMARY KEY (id),
    CONSTRAINT uq_mails_ref UNIQUE (ref),
    CONSTRAINT uq_mails_entry_id_receiver_template UNIQUE (entry_id, receiver, template),
    CONSTRAINT ck_mails_state CHECK (state IN ('queued', 'sent', 'failed')),
    CONSTRAINT ck_mails_sent CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CONSTRAINT ck_mails_language CHECK (language IN ('fr', 'en')),
    CONSTRAINT ck_mails_receiver CHECK (receiver ~ '^[^@[:space:]]+@[^@[:space:]]+$')
);

CREATE INDEX ix_mails_due_at ON mails (due_at) WHERE state = 'queued';

-- What a mail says (an invitation's link) is for its receiver: the staff sees that it left, not what is in it.
GRANT INSERT (receiver, template, language, facts, entry_id) ON mails
    TO clocher_web, clocher_staff, clocher_worker, clocher_door;
GRANT SELECT (id, ref, receiver, template, language, entry_id, state, attempts, due_at, error, queued_at, sent_at),
    UPDATE (state, due_at, attempts, error) ON mails TO clocher_staff;
GRANT SELECT, UPDATE ON mails TO clocher_worker;

-- What was told already, and who wants what ----------------------------------------------------------------------

-- Up to which audit entry people and programs were told: one row. What happened before there were notices is not told.
CREATE TABLE notice_marks (
    id BIGINT NOT NULL,
    entry_id BIGINT NOT NULL,
    CONSTRAINT pk_notice_marks PRIMARY KEY (id),
    CONSTRAINT ck_notice_marks_one CHECK (id = 1)
);
INSERT INTO notice_marks SELECT 1, id FROM audit_head;

CREATE TABLE notice_choices (
    account_id BIGINT NOT NULL,
    choice TEXT NOT NULL,
    CONSTRAINT pk_notice_choices PRIMARY KEY (account_id),
    CONSTRAINT ck_notice_choices_choice CHECK (choice IN ('all', 'mine', 'none')),
    CONSTRAINT fk_notice_choices_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

-- How much of its yearly budget a member had committed when that was last told, in percent.
CREATE TABLE budget_marks (
    member_id BIGINT NOT NULL,
    year BIGINT NOT NULL,
    reached BIGINT NOT NULL,
    CONSTRAINT pk_budget_marks PRIMARY KEY (member_id, year),
    CONSTRAINT ck_budget_marks_reached CHECK (reached IN (0, 80, 100)),
    CONSTRAINT fk_budget_marks_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

-- Webhooks --------------------------------------------------------------------------------------------------------

CREATE TABLE webhook_endpoints (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT,
    label TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT[] NOT NULL,
    secret BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_until TIMESTAMP WITH TIME ZONE,
    state TEXT DEFAULT 'active' NOT NULL,
    failing_since TIMESTAMP WITH TIME ZONE,
    account_id BIGINT,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_webhook_endpoints PRIMARY KEY (id),
    CONSTRAINT ck_webhook_endpoints_state CHECK (state IN ('active', 'disabled', 'removed')),
    CONSTRAINT ck_webhook_endpoints_previous CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    CONSTRAINT fk_webhook_endpoints_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_webhook_endpoints_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);
CREATE INDEX ix_webhook_endpoints_member_id ON webhook_endpoints (member_id);

CREATE TABLE webhook_deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    ref UUID DEFAULT gen_random_uuid() NOT NULL,
    endpoint_id BIGINT NOT NULL,
    member_id BIGINT,
    entry_id BIGINT,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT DEFAULT 'queued' NOT NULL,
    attempts BIGINT DEFAULT 0 NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    queued_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (id),
    CONSTRAINT uq_webhook_deliveries_endpoint_id_entry_id_event UNIQUE (endpoint_id, entry_id, event),
    CONSTRAINT ck_webhook_deliveries_state CHECK (state IN ('queued', 'sent', 'failed')),
    CONSTRAINT ck_webhook_deliveries_ended CHECK ((state = 'queued') = (ended_at IS NULL)),
    CONSTRAINT fk_webhook_deliveries_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES webhook_endpoints (id),
    CONSTRAINT fk_webhook_deliveries_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
CREATE INDEX ix_webhook_deliveries_member_id ON webhook_deliveries (member_id);
CREATE INDEX ix_webhook_deliveries_due_at ON webhook_deliveries (due_at) WHERE state = 'queued';

CREATE TABLE webhook_attempts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    delivery_id BIGINT NOT NULL,
    member_id BIGINT,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    milliseconds BIGINT NOT NULL,
    status BIGINT,
    answer TEXT,
    error TEXT,
    CONSTRAINT pk_webhook_attempts PRIMARY KEY (id),
    CONSTRAINT fk_webhook_attempts_delivery_id FOREIGN KEY(delivery_id) REFERENCES webhook_deliveries (id),
    CONSTRAINT fk_webhook_attempts_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
CREATE INDEX ix_webhook_attempts_delivery_id ON webhook_attempts (delivery_id);

DO $$
DECLARE
    secured text;
BEGIN
    FOREACH secured IN ARRAY ARRAY['budget_marks', 'webhook_endpoints', 'webhook_deliveries', 'webhook_attempts'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY own_rows ON %I USING ((SELECT clocher_territory())'
            ' OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
END $$;
ALTER TABLE notice_choices ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_people ON notice_choices USING (account_id IN (SELECT id FROM accounts));

GRANT SELECT, UPDATE ON notice_marks TO clocher_worker;
GRANT SELECT ON notice_choices TO clocher_web, clocher_staff, clocher_worker, clocher_door;
GRANT INSERT, UPDATE ON notice_choices TO clocher_web, clocher_staff, clocher_door;
GRANT SELECT, INSERT, UPDATE ON budget_marks TO clocher_worker;

GRANT SELECT, INSERT, UPDATE ON webhook_endpoints TO clocher_web, clocher_staff;
GRANT SELECT, UPDATE (state, failing_since) ON webhook_endpoints TO clocher_worker;
GRANT SELECT, INSERT, UPDATE (state, attempts, due_at, ended_at) ON webhook_deliveries
    TO clocher_web, clocher_staff, clocher_worker;
GRANT SELECT ON webhook_attempts TO clocher_web, clocher_staff;
GRANT SELECT, INSERT, DELETE ON webhook_attempts TO clocher_worker;
GRANT DELETE ON webhook_deliveries, mails TO clocher_worker;
