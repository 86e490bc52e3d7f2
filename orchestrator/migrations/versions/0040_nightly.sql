ALTER TABLE services ADD COLUMN nightly BOOLEAN DEFAULT true NOT NULL;
GRANT UPDATE (nightly) ON services TO clocher_web;
