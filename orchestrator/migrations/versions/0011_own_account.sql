-- A token is made at the door; the answer that holds its secret is kept in the same transaction, for the same request.
GRANT SELECT, INSERT, DELETE ON request_answers TO clocher_door;
ALTER POLICY own_rows ON request_answers USING ((SELECT clocher_territory()) OR (SELECT clocher_at_door())
    OR member_id = (SELECT clocher_member()));
