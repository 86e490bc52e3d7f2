-- An adjustment may be of a fee or a minimum: then it is of no use.
ALTER TABLE statement_lines DROP CONSTRAINT ck_statement_lines_shape,
    ADD CONSTRAINT ck_statement_lines_shape CHECK (
        (kind IN ('usage', 'adjustment', 'fee', 'minimum')) = (meter_id IS NOT NULL AND price_id IS NOT NULL)
        AND (kind = 'adjustment' OR (kind = 'usage') = (unit_seconds IS NOT NULL))
        AND (kind = 'share') = (pool_id IS NOT NULL AND share IS NOT NULL)
        AND (kind IN ('adjustment', 'settlement')) = (corrects_id IS NOT NULL)
        AND (kind = 'settlement') = (dispute_id IS NOT NULL)
        AND (corrects_position IS NULL OR kind IN ('adjustment', 'settlement'))
        AND (step IS NULL OR (kind IN ('usage', 'adjustment') AND step > 0)));
