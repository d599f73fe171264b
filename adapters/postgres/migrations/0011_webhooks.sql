-- What other systems are told of, as it happens. A delivery names an event and nobody; what it says is read from
-- the record when it is sent.

CREATE TABLE webhook_endpoints (
    endpoint_id  text        PRIMARY KEY,
    -- NULL: told of every customer's subscriptions.
    customer_id  text,
    url          text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at   timestamptz,
    -- After failures that are the endpoint's and not the event's, nothing is sent there for a while.
    failures     integer     NOT NULL DEFAULT 0,
    paused_until timestamptz
);

-- Apart from the endpoints, for whoever manages those may not read these.
CREATE TABLE webhook_secrets (
    endpoint_id text        NOT NULL REFERENCES webhook_endpoints,
    secret      text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at     timestamptz
);
CREATE INDEX webhook_secrets_by_endpoint ON webhook_secrets (endpoint_id);

-- A trial delivery, to see whether an endpoint listens, is about no subscription.
CREATE TABLE webhook_deliveries (
    number          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id     text        NOT NULL REFERENCES webhook_endpoints,
    subscription_id text,
    sequence        integer,
    state           text        NOT NULL DEFAULT 'WAITING' CHECK (state IN ('WAITING', 'DELIVERED', 'PARKED')),
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text,
    queued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at      timestamptz,
    CHECK ((state = 'WAITING') = (settled_at IS NULL)),
    CHECK ((subscription_id IS NULL) = (sequence IS NULL)),
    UNIQUE (endpoint_id, subscription_id, sequence),
    FOREIGN KEY (subscription_id, sequence) REFERENCES lifecycle_events
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 'WAITING';
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (endpoint_id, subscription_id, sequence)
    WHERE state = 'WAITING';
CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (endpoint_id, state, number);

GRANT SELECT, UPDATE (failures, paused_until) ON webhook_endpoints TO worksub_worker;
GRANT SELECT ON webhook_secrets TO worksub_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO worksub_worker;

GRANT SELECT ON subscriptions, lifecycle_events TO worksub_admin;
GRANT SELECT, INSERT, UPDATE ON webhook_endpoints, webhook_deliveries TO worksub_admin;
GRANT SELECT (endpoint_id, created_at, ends_at), INSERT, UPDATE (ends_at), DELETE ON webhook_secrets TO worksub_admin;
