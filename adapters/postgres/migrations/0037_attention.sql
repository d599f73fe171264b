-- The reasons why subscriptions need attention. Workers copy them from Temporal for commands and pages that read the
-- record alone.

CREATE TABLE attention (
    subscription_id text PRIMARY KEY,
    kind            text NOT NULL,
    reason          text,
    since           timestamptz
);

GRANT SELECT, INSERT, UPDATE, DELETE ON attention TO worksub_worker;
GRANT SELECT ON attention TO worksub_reader;
