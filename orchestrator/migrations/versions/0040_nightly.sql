ALTER TABLE services ADD COLUMN nightly BOOLEAN DEFAULT true NOT NULL;
GRANT UPDATE (nightly) ON services TO clocher_web;

-- What a client's repository may take, as its vault was told: it is told again when the service has grown.
ALTER TABLE backup_clients ADD COLUMN quota_gib BIGINT;
GRANT SELECT (quota_gib) ON backup_clients TO clocher_web, clocher_staff;
