CREATE TABLE allocation_keys (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    code TEXT NOT NULL,
    version BIGINT NOT NULL,
    weights JSONB NOT NULL,
    deliberation TEXT NOT NULL,
    during DATERANGE NOT NULL,
    CONSTRAINT pk_allocation_keys PRIMARY KEY (id),
    CONSTRAINT uq_allocation_keys_code_version UNIQUE (code, version)
);

CREATE TABLE members (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    siren TEXT NOT NULL,
    siret TEXT NOT NULL,
    insee_code TEXT,
    population BIGINT,
    state TEXT DEFAULT 'active' NOT NULL,
    contacts JSONB DEFAULT '[]' NOT NULL,
    subnet_cidr TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_members PRIMARY KEY (id),
    CONSTRAINT ck_members_slug CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 40),
    CONSTRAINT ck_members_siren CHECK (siren ~ '^[0-9]{9}$'),
    CONSTRAINT ck_members_siret CHECK (siret ~ '^[0-9]{14}$' AND left(siret, 9) = siren),
    CONSTRAINT ck_members_insee_code CHECK (insee_code ~ '^(\d{2}|2[AB])\d{3}$'),
    CONSTRAINT ck_members_population CHECK (population >= 0),
    CONSTRAINT ck_members_kind CHECK (kind IN ('commune', 'epci', 'syndicat', 'public_body', 'company')),
    CONSTRAINT ck_members_state CHECK (state IN ('active', 'closed')),
    CONSTRAINT uq_members_slug UNIQUE (slug),
    CONSTRAINT uq_members_siret UNIQUE (siret),
    CONSTRAINT subnets_apart EXCLUDE USING gist ((subnet_cidr::cidr) inet_ops WITH &&)
);

CREATE TABLE meters (
    id BIGINT NOT NULL,
    code TEXT NOT NULL,
    unit TEXT NOT NULL,
    sku TEXT,
    label JSONB NOT NULL,
    CONSTRAINT pk_meters PRIMARY KEY (id),
    CONSTRAINT uq_meters_code UNIQUE (code),
    CONSTRAINT uq_meters_sku UNIQUE (sku)
);

CREATE TABLE offers (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    slug TEXT NOT NULL,
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT DEFAULT 'published' NOT NULL,
    title JSONB NOT NULL,
    summary JSONB NOT NULL,
    flavor TEXT NOT NULL,
    vcpus BIGINT NOT NULL,
    ram_mib BIGINT NOT NULL,
    parameters JSONB NOT NULL,
    approval TEXT DEFAULT 'none' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_offers PRIMARY KEY (id),
    CONSTRAINT uq_offers_slug_version UNIQUE (slug, version),
    CONSTRAINT ck_offers_kind CHECK (kind IN ('vm', 'stack')),
    CONSTRAINT ck_offers_state CHECK (state IN ('draft', 'published', 'withdrawn')),
    CONSTRAINT ck_offers_approval CHECK (approval IN ('none', 'dsi')),
    CONSTRAINT ck_offers_size CHECK (vcpus > 0 AND ram_mib > 0)
);

CREATE UNIQUE INDEX uq_offers_published ON offers (slug) WHERE state = 'published';

CREATE TABLE periods (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    label TEXT NOT NULL,
    during TSTZRANGE NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    sample BOOLEAN DEFAULT false NOT NULL,
    metered_until TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    closed_by TEXT,
    CONSTRAINT pk_periods PRIMARY KEY (id),
    CONSTRAINT periods_apart EXCLUDE USING gist (during WITH &&),
    CONSTRAINT ck_periods_state CHECK (state IN ('open', 'draft', 'checked', 'closed')),
    CONSTRAINT ck_periods_closed CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT ck_periods_label CHECK (label ~ '^[0-9]{4}-[0-9]{2}$'),
    CONSTRAINT uq_periods_label UNIQUE (label)
);

CREATE TABLE sightings (
    kind TEXT NOT NULL,
    cloud_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    first_seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_sightings PRIMARY KEY (kind, cloud_id)
);

CREATE TABLE workers (
    id TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_workers PRIMARY KEY (id)
);

CREATE TABLE audit_entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    actor TEXT NOT NULL,
    member_id BIGINT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail JSONB DEFAULT '{}' NOT NULL,
    previous_hash BYTEA,
    hash BYTEA,
    CONSTRAINT pk_audit_entries PRIMARY KEY (id),
    CONSTRAINT fk_audit_entries_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE INDEX ix_audit_entries_member_id ON audit_entries (member_id);

CREATE TABLE budgets (
    member_id BIGINT NOT NULL,
    year BIGINT NOT NULL,
    amount NUMERIC NOT NULL,
    CONSTRAINT pk_budgets PRIMARY KEY (member_id, year),
    CONSTRAINT ck_budgets_positive CHECK (amount >= 0),
    CONSTRAINT ck_budgets_year CHECK (year BETWEEN 2000 AND 2099),
    CONSTRAINT fk_budgets_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE TABLE cost_pools (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    period_id BIGINT NOT NULL,
    code TEXT NOT NULL,
    label JSONB NOT NULL,
    section TEXT DEFAULT 'fonctionnement' NOT NULL,
    amount NUMERIC(14, 2) NOT NULL,
    key_id BIGINT NOT NULL,
    CONSTRAINT pk_cost_pools PRIMARY KEY (id),
    CONSTRAINT uq_cost_pools_period_id_code UNIQUE (period_id, code),
    CONSTRAINT ck_cost_pools_section CHECK (section IN ('fonctionnement', 'investissement')),
    CONSTRAINT fk_cost_pools_period_id FOREIGN KEY(period_id) REFERENCES periods (id),
    CONSTRAINT fk_cost_pools_key_id FOREIGN KEY(key_id) REFERENCES allocation_keys (id)
);

CREATE INDEX ix_cost_pools_period_id ON cost_pools (period_id);

CREATE TABLE places (
    member_id BIGINT NOT NULL,
    project_id TEXT NOT NULL,
    network_id TEXT NOT NULL,
    subnet_id TEXT NOT NULL,
    router_id TEXT NOT NULL,
    security_group_id TEXT NOT NULL,
    applied_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_places PRIMARY KEY (member_id),
    CONSTRAINT fk_places_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT uq_places_project_id UNIQUE (project_id)
);

CREATE TABLE prices (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    meter_id BIGINT NOT NULL,
    during TSTZRANGE NOT NULL,
    hourly NUMERIC(18, 8) NOT NULL,
    book TEXT NOT NULL,
    CONSTRAINT pk_prices PRIMARY KEY (id),
    CONSTRAINT uq_prices_id_meter_id UNIQUE (id, meter_id),
    CONSTRAINT prices_apart EXCLUDE USING gist (int8range(meter_id, meter_id, '[]') WITH &&, during WITH &&),
    CONSTRAINT ck_prices_positive CHECK (hourly >= 0),
    CONSTRAINT ck_prices_during CHECK (NOT isempty(during)),
    CONSTRAINT fk_prices_meter_id FOREIGN KEY(meter_id) REFERENCES meters (id)
);

CREATE TABLE quotas (
    member_id BIGINT NOT NULL,
    servers BIGINT NOT NULL,
    vcpus BIGINT NOT NULL,
    ram_mib BIGINT NOT NULL,
    volumes BIGINT NOT NULL,
    disk_gib BIGINT NOT NULL,
    public_addresses BIGINT NOT NULL,
    CONSTRAINT pk_quotas PRIMARY KEY (member_id),
    CONSTRAINT ck_quotas_positive CHECK (least(servers, vcpus, ram_mib, volumes, disk_gib, public_addresses) >= 0),
    CONSTRAINT fk_quotas_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE TABLE services (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    ref UUID DEFAULT gen_random_uuid() NOT NULL,
    member_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    specification JSONB NOT NULL,
    state TEXT DEFAULT 'creating' NOT NULL,
    address TEXT,
    public_address TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_services PRIMARY KEY (id),
    CONSTRAINT ck_services_state CHECK (state IN ('creating', 'active', 'stopping', 'stopped', 'starting', 'deleting', 'deleted', 'failed')),
    CONSTRAINT ck_services_name CHECK (name ~ '^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$'),
    CONSTRAINT uq_services_ref UNIQUE (ref),
    CONSTRAINT fk_services_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE INDEX ix_services_member_id ON services (member_id);

CREATE UNIQUE INDEX uq_services_living_name ON services (member_id, name) WHERE state NOT IN ('deleted', 'failed');

CREATE TABLE statements (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    period_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    total NUMERIC(14, 2) NOT NULL,
    document TEXT,
    previous_hash TEXT,
    hash TEXT,
    CONSTRAINT pk_statements PRIMARY KEY (id),
    CONSTRAINT uq_statements_period_id_member_id UNIQUE (period_id, member_id),
    CONSTRAINT uq_statements_id_period_id_member_id UNIQUE (id, period_id, member_id),
    CONSTRAINT ck_statements_sealed CHECK (num_nonnulls(document, previous_hash, hash) IN (0, 3)),
    CONSTRAINT fk_statements_period_id FOREIGN KEY(period_id) REFERENCES periods (id),
    CONSTRAINT fk_statements_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE INDEX ix_statements_member_id ON statements (member_id);

CREATE TABLE tokens (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT,
    label TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_tokens PRIMARY KEY (id),
    CONSTRAINT fk_tokens_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT uq_tokens_digest UNIQUE (digest)
);

CREATE INDEX ix_tokens_member_id ON tokens (member_id);

CREATE TABLE flows (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT DEFAULT 'queued' NOT NULL,
    cancel_requested BOOLEAN DEFAULT false NOT NULL,
    error_code TEXT,
    error_sentence TEXT,
    error_detail TEXT,
    requested_by TEXT NOT NULL,
    worker_id TEXT,
    queued_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_flows PRIMARY KEY (id),
    CONSTRAINT ck_flows_kind CHECK (kind IN ('create_server', 'delete_server', 'stop_server', 'start_server')),
    CONSTRAINT ck_flows_state CHECK (state IN ('queued', 'running', 'undoing', 'done', 'failed', 'cancelled')),
    CONSTRAINT ck_flows_ended CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))),
    CONSTRAINT fk_flows_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_flows_service_id FOREIGN KEY(service_id) REFERENCES services (id)
);

CREATE INDEX ix_flows_member_id ON flows (member_id);

CREATE INDEX ix_flows_service_id ON flows (service_id);

CREATE UNIQUE INDEX uq_flows_one_live ON flows (service_id) WHERE state IN ('queued', 'running', 'undoing');

CREATE TABLE statement_lines (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    statement_id BIGINT NOT NULL,
    period_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    service_id BIGINT,
    meter_id BIGINT,
    price_id BIGINT,
    pool_id BIGINT,
    unit_seconds NUMERIC,
    share NUMERIC,
    amount NUMERIC(14, 2) NOT NULL,
    CONSTRAINT pk_statement_lines PRIMARY KEY (id),
    CONSTRAINT uq_statement_lines_statement_id_position UNIQUE (statement_id, position),
    CONSTRAINT ck_statement_lines_kind CHECK (kind IN ('usage', 'share')),
    CONSTRAINT ck_statement_lines_shape CHECK ((kind = 'usage') = (meter_id IS NOT NULL AND price_id IS NOT NULL AND unit_seconds IS NOT NULL) AND (kind = 'share') = (pool_id IS NOT NULL AND share IS NOT NULL)),
    CONSTRAINT fk_statement_lines_statement_id FOREIGN KEY(statement_id, period_id, member_id) REFERENCES statements (id, period_id, member_id) ON DELETE CASCADE,
    CONSTRAINT fk_statement_lines_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_statement_lines_price_id FOREIGN KEY(price_id, meter_id) REFERENCES prices (id, meter_id),
    CONSTRAINT fk_statement_lines_pool_id FOREIGN KEY(pool_id) REFERENCES cost_pools (id)
);

CREATE INDEX ix_statement_lines_period_id ON statement_lines (period_id);

CREATE INDEX ix_statement_lines_statement_id ON statement_lines (statement_id);

CREATE TABLE ansible_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    flow_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    uuid UUID NOT NULL,
    event TEXT NOT NULL,
    task TEXT,
    outcome TEXT,
    message TEXT,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_ansible_events PRIMARY KEY (id),
    CONSTRAINT uq_ansible_events_flow_id_uuid UNIQUE (flow_id, uuid),
    CONSTRAINT fk_ansible_events_flow_id FOREIGN KEY(flow_id) REFERENCES flows (id),
    CONSTRAINT fk_ansible_events_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE TABLE flow_steps (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    flow_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT DEFAULT '1' NOT NULL,
    message TEXT,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_flow_steps PRIMARY KEY (id),
    CONSTRAINT uq_flow_steps_flow_id_name UNIQUE (flow_id, name),
    CONSTRAINT ck_flow_steps_state CHECK (state IN ('running', 'done', 'failed', 'undone')),
    CONSTRAINT fk_flow_steps_flow_id FOREIGN KEY(flow_id) REFERENCES flows (id),
    CONSTRAINT fk_flow_steps_member_id FOREIGN KEY(member_id) REFERENCES members (id)
);

CREATE TABLE orders (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    request_key TEXT NOT NULL,
    offer_id BIGINT NOT NULL,
    service_id BIGINT,
    flow_id BIGINT,
    parameters JSONB NOT NULL,
    state TEXT NOT NULL,
    estimate JSONB NOT NULL,
    monthly NUMERIC NOT NULL,
    servers BIGINT DEFAULT '0' NOT NULL,
    vcpus BIGINT DEFAULT '0' NOT NULL,
    ram_mib BIGINT DEFAULT '0' NOT NULL,
    volumes BIGINT DEFAULT '0' NOT NULL,
    disk_gib BIGINT DEFAULT '0' NOT NULL,
    public_addresses BIGINT DEFAULT '0' NOT NULL,
    placed_by TEXT NOT NULL,
    placed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    decided_by TEXT,
    decided_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT uq_orders_member_id_request_key UNIQUE (member_id, request_key),
    CONSTRAINT ck_orders_kind CHECK (kind IN ('create')),
    CONSTRAINT ck_orders_state CHECK (state IN ('waiting', 'approved', 'rejected', 'cancelled')),
    CONSTRAINT ck_orders_monthly CHECK (monthly >= 0),
    CONSTRAINT ck_orders_service CHECK ((state = 'approved') = (service_id IS NOT NULL)),
    CONSTRAINT fk_orders_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_orders_offer_id FOREIGN KEY(offer_id) REFERENCES offers (id),
    CONSTRAINT fk_orders_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_orders_flow_id FOREIGN KEY(flow_id) REFERENCES flows (id)
);

CREATE INDEX ix_orders_member_id ON orders (member_id);

CREATE INDEX ix_orders_service_id ON orders (service_id);

CREATE TABLE resources (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    member_id BIGINT NOT NULL,
    service_id BIGINT NOT NULL,
    flow_id BIGINT,
    kind TEXT NOT NULL,
    role TEXT DEFAULT 'main' NOT NULL,
    cloud_id TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_resources PRIMARY KEY (id),
    CONSTRAINT uq_resources_kind_cloud_id UNIQUE (kind, cloud_id),
    CONSTRAINT uq_resources_id_member_id UNIQUE (id, member_id),
    CONSTRAINT ck_resources_kind CHECK (kind IN ('server', 'volume', 'port', 'floating_ip')),
    CONSTRAINT fk_resources_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_resources_service_id FOREIGN KEY(service_id) REFERENCES services (id),
    CONSTRAINT fk_resources_flow_id FOREIGN KEY(flow_id) REFERENCES flows (id)
);

CREATE INDEX ix_resources_member_id ON resources (member_id);

CREATE INDEX ix_resources_service_id ON resources (service_id);

CREATE UNIQUE INDEX uq_resources_living_role ON resources (service_id, kind, role) WHERE deleted_at IS NULL;

CREATE TABLE resource_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    resource_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    flow_id BIGINT,
    kind TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    vcpus BIGINT,
    ram_mib BIGINT,
    disk_gib BIGINT,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_resource_events PRIMARY KEY (id),
    CONSTRAINT uq_resource_events_resource_id_kind_at UNIQUE (resource_id, kind, at),
    CONSTRAINT ck_resource_events_kind CHECK (kind IN ('created', 'launched', 'serving', 'stopped', 'started', 'resized', 'deleted')),
    CONSTRAINT ck_resource_events_sizes CHECK (vcpus > 0 AND ram_mib > 0 AND disk_gib > 0),
    CONSTRAINT fk_resource_events_resource_id FOREIGN KEY(resource_id) REFERENCES resources (id),
    CONSTRAINT fk_resource_events_member_id FOREIGN KEY(member_id) REFERENCES members (id),
    CONSTRAINT fk_resource_events_flow_id FOREIGN KEY(flow_id) REFERENCES flows (id)
);

CREATE INDEX ix_resource_events_at ON resource_events (at);

-- A usage interval as a box: the resource and meter across, the microseconds from 2000 on along. Whole numbers below
-- 2^53 are exact in a box, and its comparison costs a third of that of two ranges. Boxes that touch overlap: the last
-- microsecond is left out.
CREATE FUNCTION clocher_usage_box(resource_id bigint, meter_id bigint, during tstzrange) RETURNS box
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN box(
    point(resource_id * 100 + meter_id, extract(epoch FROM lower(during) - timestamptz '2000-01-01Z') * 1000000),
    point(resource_id * 100 + meter_id, extract(epoch FROM upper(during) - timestamptz '2000-01-01Z') * 1000000 - 1));

CREATE TABLE usage_intervals (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    period_id BIGINT NOT NULL,
    resource_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    meter_id BIGINT NOT NULL,
    quantity NUMERIC NOT NULL,
    during TSTZRANGE NOT NULL,
    CONSTRAINT pk_usage_intervals PRIMARY KEY (id),
    CONSTRAINT usage_apart EXCLUDE USING gist (clocher_usage_box(resource_id, meter_id, during) WITH &&),
    CONSTRAINT ck_usage_intervals_sound CHECK (quantity > 0 AND meter_id < 100 AND lower_inc(during) AND NOT (upper_inc(during) OR upper_inf(during))),
    CONSTRAINT fk_usage_intervals_period_id FOREIGN KEY(period_id) REFERENCES periods (id),
    CONSTRAINT fk_usage_intervals_resource_id FOREIGN KEY(resource_id, member_id) REFERENCES resources (id, member_id),
    CONSTRAINT fk_usage_intervals_meter_id FOREIGN KEY(meter_id) REFERENCES meters (id)
);

CREATE INDEX ix_usage_intervals_period_id ON usage_intervals (period_id);

