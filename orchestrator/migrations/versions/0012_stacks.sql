-- What is known of an application: see tenants/stacks.py. Offers of this kind could not be carried out before.
UPDATE offers SET kind = 'vm', state = 'withdrawn' WHERE kind = 'stack';
ALTER TABLE offers ADD COLUMN stack JSONB,
    ADD CONSTRAINT ck_offers_stack CHECK ((kind = 'stack') = (stack IS NOT NULL));
