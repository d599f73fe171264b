-- A dispatcher claims a delivery for as long as a call may last. A claim replaces the row lock, so that no
-- connection to the database is held while an endpoint makes up its mind.
ALTER TABLE webhook_deliveries
    ADD COLUMN claim         uuid,
    ADD COLUMN claimed_until timestamptz,
    ADD CHECK ((claim IS NULL) = (claimed_until IS NULL));

-- PAUSED: events go on to be queued and none is sent. DISABLED: none is queued either.
ALTER TABLE webhook_endpoints
    ADD COLUMN status        text NOT NULL DEFAULT 'ENABLED' CHECK (status IN ('ENABLED', 'PAUSED', 'DISABLED')),
    ADD COLUMN status_reason text,
    -- The kinds of events that are sent; NULL: all.
    ADD COLUMN events        text[] CHECK (cardinality(events) > 0);

-- In the transaction of the event itself, whoever records it: told is what happened, and nothing else.
CREATE FUNCTION queue_webhooks() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    -- Without endpoints an event costs no more than this query.
    IF EXISTS (SELECT FROM webhook_endpoints WHERE removed_at IS NULL) THEN
        INSERT INTO webhook_deliveries (endpoint_id, subscription_id, sequence)
        SELECT endpoint_id, happened.subscription_id, happened.sequence
          FROM happened
          JOIN subscriptions USING (subscription_id)
          JOIN webhook_endpoints AS endpoint ON endpoint.removed_at IS NULL AND endpoint.status <> 'DISABLED'
           AND (endpoint.events IS NULL OR happened.event = ANY (endpoint.events))
           AND (endpoint.customer_id IS NULL OR endpoint.customer_id = subscriptions.customer_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER queue_webhooks AFTER INSERT ON lifecycle_events
    REFERENCING NEW TABLE AS happened FOR EACH STATEMENT EXECUTE FUNCTION queue_webhooks();

GRANT UPDATE (status, status_reason) ON webhook_endpoints TO worksub_worker;
GRANT SELECT (status) ON webhook_endpoints TO worksub_reader;
