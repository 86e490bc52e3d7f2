-- Tables --------------------------------------------------------------------------------------------------------

ALTER TABLE orders DROP CONSTRAINT ck_orders_state,
    ADD CONSTRAINT ck_orders_state CHECK (state IN ('waiting', 'approved', 'rejected', 'cancelled', 'expired'));

CREATE TABLE policies (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    version BIGINT NOT NULL,
    state TEXT DEFAULT 'draft' NOT NULL,
    document JSONB NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE NOT NULL,
    decided_by TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_policies PRIMARY KEY (id),
    CONSTRAINT uq_policies_version UNIQUE (version),
    CONSTRAINT ck_policies_state CHECK (state IN ('draft', 'adopted', 'replaced', 'discarded')),
    CONSTRAINT ck_policies_decided CHECK ((state = 'draft') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX uq_policies_adopted ON policies (state) WHERE state = 'adopted';

CREATE TABLE approvals (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    order_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    step TEXT NOT NULL,
    state TEXT DEFAULT 'waiting' NOT NULL,
    policy_version BIGINT NOT NULL,
    rules JSONB NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    reminded_at TIMESTAMP WITH TIME ZONE,
    decided_by TEXT,
    account_id BIGINT,
    instead_of BIGINT,
    decided_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    engagement_number TEXT,
    budget_line TEXT,
    CONSTRAINT pk_approvals PRIMARY KEY (id),
    CONSTRAINT uq_approvals_order_id_position UNIQUE (order_id, position),
    CONSTRAINT ck_approvals_step CHECK (step IN ('approver', 'finance', 'dsi')),
    CONSTRAINT ck_approvals_state CHECK (state IN ('waiting', 'granted', 'refused', 'skipped', 'expired')),
    CONSTRAINT ck_approvals_opened CHECK ((opened_at IS NULL) = (due_at IS NULL)),
    CONSTRAINT ck_approvals_decided CHECK ((state IN ('granted', 'refused')) = (decided_by IS NOT NULL)
        AND (state = 'waiting') = (decided_at IS NULL)),
    CONSTRAINT ck_approvals_reason CHECK (state <> 'refused' OR reason IS NOT NULL),
    CONSTRAINT fk_approvals_order_id FOREIGN KEY(order_id) REFERENCES orders (id),
    CONSTRAINT fk_approvals_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_approvals_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_approvals_instead_of FOREIGN KEY(instead_of) REFERENCES accounts (id)
);
CREATE INDEX ix_approvals_member_id ON approvals (member_id);
-- One step of an order waits at a time; the others wait for their turn.
CREATE UNIQUE INDEX uq_approvals_present ON approvals (order_id) WHERE state = 'waiting' AND opened_at IS NOT NULL;

CREATE TABLE deputies (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id BIGINT NOT NULL,
    deputy_id BIGINT NOT NULL,
    role TEXT NOT NULL,
    member_id BIGINT,
    during TSTZRANGE NOT NULL,
    made_by TEXT NOT NULL,
    made_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_deputies PRIMARY KEY (id),
    CONSTRAINT ck_deputies_role CHECK (
        CASE WHEN member_id IS NULL THEN role IN ('dsi_operator', 'dsi_admin') ELSE role IN ('approver', 'finance') END),
    CONSTRAINT ck_deputies_other CHECK (account_id <> deputy_id),
    CONSTRAINT fk_deputies_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_deputies_deputy_id FOREIGN KEY(deputy_id) REFERENCES accounts (id),
    CONSTRAINT fk_deputies_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);
CREATE INDEX ix_deputies_deputy_id ON deputies (deputy_id);
CREATE INDEX ix_deputies_member_id ON deputies (member_id);

-- Orders that waited before there were steps waited for the DSI.
INSERT INTO approvals (order_id, member_id, position, step, policy_version, rules, opened_at, due_at)
    SELECT id, member_id, 1, 'dsi', 1,
        '{"expires_days": 30, "remind_days": [3, 10], "deputies": true, "own": true, "engagement": false}',
        now(), now() + interval '30 days'
    FROM orders WHERE state = 'waiting';

-- Who sees what ------------------------------------------------------------------------------------------------

DO $$
DECLARE
    secured text;
BEGIN
    FOREACH secured IN ARRAY ARRAY['approvals', 'deputies'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY own_rows ON %I USING ((SELECT clocher_territory())'
            ' OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
END $$;

-- What the DSI grants, no member's transaction can write: a step is asked for as waiting, and the DSI's stays so.
CREATE POLICY asked_waiting ON approvals AS RESTRICTIVE FOR INSERT WITH CHECK (state = 'waiting');
CREATE POLICY granted_by_the_dsi ON approvals AS RESTRICTIVE FOR UPDATE
    USING (true) WITH CHECK ((SELECT clocher_territory()) OR step <> 'dsi' OR state NOT IN ('granted', 'refused'));

GRANT SELECT ON policies, approvals, deputies TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT ON approvals, deputies TO clocher_web, clocher_staff;
GRANT UPDATE (state, opened_at, due_at, reminded_at, decided_by, account_id, instead_of, decided_at, reason,
    engagement_number, budget_line) ON approvals TO clocher_web, clocher_staff, clocher_worker;
GRANT UPDATE (during) ON deputies TO clocher_web, clocher_staff;
GRANT INSERT, UPDATE ON policies TO clocher_staff;

-- A member's approver can start an order; a worker ends one that nobody decided in time.
GRANT UPDATE (service_id, flow_id) ON orders TO clocher_web;
GRANT UPDATE (state, decided_by, decided_at, reason) ON orders TO clocher_worker;
