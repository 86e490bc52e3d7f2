-- The inhabitants that a statement's shares were worked out from: a member's own figure changes every year.
ALTER TABLE statements ADD COLUMN population BIGINT, ADD CONSTRAINT ck_statements_population CHECK (population >= 0);

-- Statements of before get what is known now, closed ones too: their sealed document does not hold it.
ALTER TABLE statements DISABLE TRIGGER USER;
UPDATE statements t SET population = m.population FROM members m WHERE m.id = t.member_id;
ALTER TABLE statements ENABLE TRIGGER USER;
