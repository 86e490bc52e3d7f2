-- What was answered to requests that carry a key, so that the same request again is the same answer.
-- answer: sealed; it may hold a secret that is shown once.
CREATE TABLE request_answers (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT,
    asker TEXT NOT NULL,
    request_key TEXT NOT NULL,
    digest BYTEA NOT NULL,
    status BIGINT NOT NULL,
    answer BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_request_answers PRIMARY KEY (id),
    CONSTRAINT fk_request_answers_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT uq_request_answers_member_id_asker_request_key UNIQUE NULLS NOT DISTINCT (member_id, asker, request_key)
);
CREATE INDEX ix_request_answers_at ON request_answers (at);
GRANT SELECT, INSERT, DELETE ON request_answers TO clocher_web, clocher_staff;
GRANT SELECT, DELETE ON request_answers TO clocher_worker;

ALTER TABLE request_answers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON request_answers USING (
    (SELECT clocher_territory()) OR member_id = (SELECT clocher_member()));
