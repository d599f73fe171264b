-- Whoever looks at the service sees how many webhooks wait or are parked; where they go is not theirs to read.

GRANT SELECT (endpoint_id, removed_at) ON webhook_endpoints TO worksub_reader;
GRANT SELECT (endpoint_id, state, queued_at) ON webhook_deliveries TO worksub_reader;
