-- Tables --------------------------------------------------------------------------------------------------------

CREATE TABLE accounts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    language TEXT DEFAULT 'fr' NOT NULL,
    state TEXT DEFAULT 'invited' NOT NULL,
    siret TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    signed_in_at TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT uq_accounts_email UNIQUE (email),
    CONSTRAINT ck_accounts_email CHECK (email = lower(email) AND email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    CONSTRAINT ck_accounts_name CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT ck_accounts_language CHECK (language IN ('fr', 'en')),
    CONSTRAINT ck_accounts_state CHECK (state IN ('invited', 'pending', 'active', 'closed')),
    CONSTRAINT ck_accounts_closed CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);

CREATE TABLE account_roles (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id BIGINT NOT NULL,
    role TEXT NOT NULL,
    member_id BIGINT,
    granted_by TEXT NOT NULL,
    granted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_account_roles PRIMARY KEY (id),
    CONSTRAINT uq_account_roles_account_id_role_member_id UNIQUE NULLS NOT DISTINCT (account_id, role, member_id),
    CONSTRAINT ck_account_roles_role CHECK (
        CASE WHEN member_id IS NULL THEN role IN ('dsi_operator', 'dsi_admin', 'territory_finance', 'auditor')
        ELSE role IN ('requester', 'approver', 'finance') END),
    CONSTRAINT fk_account_roles_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_account_roles_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE INDEX ix_account_roles_member_id ON account_roles (member_id);

-- Apart from the accounts, so that those who may read who somebody is can never read how he proves it.
CREATE TABLE credentials (
    account_id BIGINT NOT NULL,
    password_hash TEXT,
    password_set_at TIMESTAMP WITH TIME ZONE,
    totp_secret BYTEA,
    totp_since TIMESTAMP WITH TIME ZONE,
    totp_step BIGINT,
    CONSTRAINT pk_credentials PRIMARY KEY (account_id),
    CONSTRAINT fk_credentials_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE TABLE recovery_codes (
    account_id BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    CONSTRAINT pk_recovery_codes PRIMARY KEY (account_id, digest),
    CONSTRAINT fk_recovery_codes_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    account_id BIGINT NOT NULL,
    linked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_identities PRIMARY KEY (issuer, subject),
    CONSTRAINT fk_identities_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_identities_account_id ON identities (account_id);

CREATE TABLE account_links (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_account_links PRIMARY KEY (id),
    CONSTRAINT uq_account_links_account_id UNIQUE (account_id),
    CONSTRAINT uq_account_links_digest UNIQUE (digest),
    CONSTRAINT fk_account_links_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE TABLE failures (
    source TEXT NOT NULL,
    count BIGINT NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE NOT NULL,
    locked_until TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_failures PRIMARY KEY (source)
);

CREATE TABLE sessions (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    digest BYTEA NOT NULL,
    account_id BIGINT NOT NULL,
    member_id BIGINT,
    csrf TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    address TEXT NOT NULL,
    device TEXT NOT NULL,
    issuer TEXT,
    id_token TEXT,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT uq_sessions_digest UNIQUE (digest),
    CONSTRAINT fk_sessions_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_sessions_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE INDEX ix_sessions_account_id ON sessions (account_id);
CREATE INDEX ix_sessions_member_id ON sessions (member_id);

-- A token is an account's, and dies with it, or a machine's, and then it has roles of its own.
ALTER TABLE tokens ADD account_id BIGINT, ADD roles TEXT[], ADD scopes TEXT[] DEFAULT '{}' NOT NULL,
    ADD used_at TIMESTAMP WITH TIME ZONE;
UPDATE tokens SET scopes = '{read,order,operate,approve,finance,admin}', roles = CASE WHEN member_id IS NULL
    THEN '{dsi_admin,territory_finance}'::text[] ELSE '{requester,approver,finance}'::text[] END;
ALTER TABLE tokens
    ADD CONSTRAINT fk_tokens_account_id FOREIGN KEY (account_id) REFERENCES accounts (id),
    ADD CONSTRAINT ck_tokens_holder CHECK ((account_id IS NULL) = (roles IS NOT NULL)),
    ADD CONSTRAINT ck_tokens_scopes CHECK (scopes <@ '{read,order,operate,approve,finance,admin}'::text[]);
CREATE INDEX ix_tokens_account_id ON tokens (account_id);

-- Who sees what ------------------------------------------------------------------------------------------------

-- At the door nobody is known yet: its role looks up people and what proves them, and nothing else.
CREATE FUNCTION clocher_at_door() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('clocher.scope', true), '') = 'door'
        AND pg_has_role(current_user, 'clocher_door', 'member')
$$;

DO $$
DECLARE
    secured text;
BEGIN
    FOREACH secured IN ARRAY ARRAY['account_roles', 'sessions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY own_rows ON %I USING ((SELECT clocher_territory()) OR (SELECT clocher_at_door())'
            ' OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
    FOREACH secured IN ARRAY ARRAY['tokens', 'audit_entries'] LOOP
        EXECUTE format('ALTER POLICY own_rows ON %I USING ((SELECT clocher_territory()) OR (SELECT clocher_at_door())'
            ' OR member_id = (SELECT clocher_member()))', secured);
    END LOOP;
    FOREACH secured IN ARRAY ARRAY['credentials', 'recovery_codes', 'identities', 'account_links', 'failures'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY door_only ON %I USING ((SELECT clocher_territory())'
            ' OR (SELECT clocher_at_door()))', secured);
    END LOOP;
END $$;

ALTER POLICY own_rows ON members USING ((SELECT clocher_territory()) OR (SELECT clocher_at_door())
    OR id = (SELECT clocher_member()));

-- A member sees who holds a role in it, and who says to be of it and waits for one.
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_people ON accounts USING ((SELECT clocher_territory()) OR (SELECT clocher_at_door())
    OR id IN (SELECT account_id FROM account_roles WHERE member_id = (SELECT clocher_member()))
    OR (state = 'pending' AND left(siret, 9) = (SELECT siren FROM members WHERE id = (SELECT clocher_member()))));

GRANT SELECT ON accounts, account_roles TO clocher_web, clocher_staff, clocher_worker;
GRANT INSERT, DELETE ON account_roles TO clocher_web, clocher_staff;
GRANT UPDATE (name, language, state, closed_at) ON accounts TO clocher_staff;
GRANT SELECT (account_id, totp_since), UPDATE (totp_secret, totp_since, totp_step) ON credentials TO clocher_staff;
GRANT SELECT (account_id), DELETE ON recovery_codes TO clocher_staff;
GRANT SELECT (id, member_id, account_id, label, roles, scopes, created_at, expires_at, revoked_at, used_at) ON tokens
    TO clocher_web;

GRANT SELECT ON members, accounts, account_roles TO clocher_door;
GRANT INSERT ON accounts, audit_entries TO clocher_door;
GRANT UPDATE (name, language, state, siret, signed_in_at) ON accounts TO clocher_door;
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials, recovery_codes, identities, account_links, failures, sessions
    TO clocher_door;
GRANT SELECT, INSERT, UPDATE ON tokens TO clocher_door;

-- The door has its own lookup.
DROP FUNCTION clocher_token(bytea);

-- Inviting and leaving -------------------------------------------------------------------------------------------

-- Who invites a person may not see whether another member knows it already: it learns the id, and may give roles
-- in its own house. A link that sets a password is made only for an account that nobody else has invited.
CREATE FUNCTION clocher_invite(
    address text, called text, reads text, link bytea, until timestamptz, OUT account bigint, OUT linked boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO accounts (email, name, language) VALUES (address, called, reads) ON CONFLICT (email) DO NOTHING;
    UPDATE accounts SET state = 'invited', closed_at = NULL WHERE email = address AND state = 'closed';
    SELECT a.id, a.state = 'invited' AND (clocher_member() IS NULL OR NOT EXISTS (
            SELECT FROM account_roles r WHERE r.account_id = a.id AND r.member_id IS DISTINCT FROM clocher_member()))
        INTO account, linked FROM accounts a WHERE a.email = address FOR UPDATE;
    IF linked THEN
        INSERT INTO account_links (account_id, digest, expires_at) VALUES (account, link, until)
            ON CONFLICT (account_id) DO UPDATE SET digest = EXCLUDED.digest, expires_at = EXCLUDED.expires_at;
    END IF;
END $$;
REVOKE ALL ON FUNCTION clocher_invite(text, text, text, bytea, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clocher_invite(text, text, text, bytea, timestamptz) TO clocher_web, clocher_staff;

-- Who holds no role in a house any more has no session and no token there, and gets none back with a later role.
CREATE FUNCTION clocher_leave() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM account_roles r WHERE r.account_id = OLD.account_id
            AND r.member_id IS NOT DISTINCT FROM OLD.member_id) THEN
        DELETE FROM sessions s WHERE s.account_id = OLD.account_id AND s.member_id IS NOT DISTINCT FROM OLD.member_id;
        UPDATE tokens t SET revoked_at = now() WHERE t.account_id = OLD.account_id AND t.revoked_at IS NULL
            AND t.member_id IS NOT DISTINCT FROM OLD.member_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER left_house AFTER DELETE ON account_roles FOR EACH ROW EXECUTE FUNCTION clocher_leave();

-- Who was waiting to be known is known with the first role.
CREATE FUNCTION clocher_welcome() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE accounts SET state = 'active', siret = NULL WHERE id = NEW.account_id AND state = 'pending';
    RETURN NULL;
END $$;
CREATE TRIGGER welcomed AFTER INSERT ON account_roles FOR EACH ROW EXECUTE FUNCTION clocher_welcome();

-- A closed account keeps nothing that opens a door.
CREATE FUNCTION clocher_close_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM account_roles WHERE account_id = NEW.id;
    DELETE FROM sessions WHERE account_id = NEW.id;
    UPDATE tokens SET revoked_at = now() WHERE account_id = NEW.id AND revoked_at IS NULL;
    DELETE FROM credentials WHERE account_id = NEW.id;
    DELETE FROM recovery_codes WHERE account_id = NEW.id;
    DELETE FROM identities WHERE account_id = NEW.id;
    DELETE FROM account_links WHERE account_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER closed AFTER UPDATE OF state ON accounts FOR EACH ROW WHEN (NEW.state = 'closed')
    EXECUTE FUNCTION clocher_close_account();
