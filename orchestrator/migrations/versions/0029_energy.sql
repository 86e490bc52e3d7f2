-- What turned a month's use into energy when it was drafted. It is sealed with the month: closed ones keep their figures.
ALTER TABLE periods ADD COLUMN energy JSONB;
