-- What pages ask for at every visit, so that it costs the same in an agglomeration of any size.
-- Failures of the last day, beside what runs (ix_flows_live).
CREATE INDEX ix_flows_failed ON flows (ended_at) WHERE state = 'failed';
-- How many services are in which state: counted in the index alone.
CREATE INDEX ix_services_state_member_id ON services (state, member_id);
-- What one member's resources went through, for its costs.
CREATE INDEX ix_resource_events_member_id ON resource_events (member_id);
-- Which actions there are, and the newest entries of one.
CREATE INDEX ix_audit_entries_action_id ON audit_entries (action, id);
-- What is old enough to be forgotten.
CREATE INDEX ix_webhook_deliveries_ended_at ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;
