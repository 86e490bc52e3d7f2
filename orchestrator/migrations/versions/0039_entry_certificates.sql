-- What certificate each host has, as the entry last told it; for the territory: hosts tell who has what.
ALTER TABLE entries ADD COLUMN certificates JSONB NOT NULL DEFAULT '[]';
GRANT SELECT (certificates) ON entries TO clocher_staff;
