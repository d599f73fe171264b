-- A trial delivery (`worksub webhooks test`) has no sequence. `worksub doctor`, which acts as the reader, leaves it out.

GRANT SELECT (sequence) ON webhook_deliveries TO worksub_reader;
