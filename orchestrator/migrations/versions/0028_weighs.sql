-- A member who left, and whose statement only corrects a closed month, bears no part of that month's common costs. Until
-- now all did: closed months stay as they are, and drafts are made again before they close.
ALTER TABLE statements ADD COLUMN weighs BOOLEAN DEFAULT true NOT NULL;
