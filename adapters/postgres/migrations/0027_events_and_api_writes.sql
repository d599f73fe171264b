-- The events of each customer, numbered in the order in which they were committed: the row of the counter is locked
-- until the transaction ends, so no event appears behind a number that a reader has seen.
CREATE TABLE customer_event_counters (
    customer_id text   PRIMARY KEY,
    last_number bigint NOT NULL
);
CREATE TABLE customer_events (
    customer_id     text    NOT NULL,
    number          bigint  NOT NULL,
    subscription_id text    NOT NULL,
    sequence        integer NOT NULL,
    PRIMARY KEY (customer_id, number),
    FOREIGN KEY (subscription_id, sequence) REFERENCES lifecycle_events
);

INSERT INTO customer_events
SELECT customer_id,
       row_number() OVER (PARTITION BY customer_id ORDER BY event.recorded_at, subscription_id, event.sequence),
       subscription_id, event.sequence
  FROM lifecycle_events AS event JOIN subscriptions USING (subscription_id);
INSERT INTO customer_event_counters SELECT customer_id, max(number) FROM customer_events GROUP BY customer_id;

-- At the end of the transaction, so that the row is locked for its commit alone. An erasure, for example, waits for a
-- mail server after it has recorded its event, and the customer's other subscriptions must not wait with it.
CREATE FUNCTION number_event() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    customer text;
    reached  bigint;
BEGIN
    SELECT customer_id INTO STRICT customer FROM subscriptions WHERE subscription_id = NEW.subscription_id;
    INSERT INTO customer_event_counters AS counter VALUES (customer, 1)
    ON CONFLICT (customer_id) DO UPDATE SET last_number = counter.last_number + 1
    RETURNING last_number INTO reached;
    INSERT INTO customer_events VALUES (customer, reached, NEW.subscription_id, NEW.sequence);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER number_event AFTER INSERT ON lifecycle_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION number_event();

GRANT SELECT, INSERT, UPDATE ON customer_event_counters TO worksub_worker;
GRANT SELECT, INSERT ON customer_events TO worksub_worker;
GRANT SELECT ON customer_events TO worksub_reader;

-- Writes of the API itself that were accepted, by their Idempotency-Key. `caller` is a customer, or empty.
CREATE TABLE api_writes (
    caller      text        NOT NULL,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    answer      jsonb,
    written_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX api_writes_by_age ON api_writes (written_at);

GRANT SELECT, INSERT, UPDATE (answer) ON api_writes TO worksub_api;
GRANT SELECT, DELETE ON api_writes TO worksub_worker;

-- The API manages the endpoints of its callers. Like the operators' command it cannot read a secret.
GRANT SELECT (subscription_id, customer_id) ON subscriptions TO worksub_api;
GRANT SELECT (subscription_id, sequence, event) ON lifecycle_events TO worksub_api;
GRANT SELECT, INSERT, UPDATE ON webhook_endpoints, webhook_deliveries TO worksub_api;
GRANT SELECT (endpoint_id, created_at, ends_at), INSERT, UPDATE (ends_at), DELETE ON webhook_secrets TO worksub_api;
