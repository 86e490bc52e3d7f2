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
