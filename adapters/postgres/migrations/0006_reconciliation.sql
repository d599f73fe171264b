-- What each night's comparison of Temporal with the record has found.

CREATE TABLE reconciliations (
    run         text        PRIMARY KEY,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    looked_at   integer     NOT NULL DEFAULT 0
);
CREATE INDEX reconciliations_by_time ON reconciliations (started_at);

-- A subscription may have been found that has no row, so nothing is referred to; an invoice's finding has none.
CREATE TABLE reconciliation_findings (
    run             text        NOT NULL REFERENCES reconciliations ON DELETE CASCADE,
    subscription_id text,
    code            text        NOT NULL,
    message         text        NOT NULL,
    repaired        boolean     NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When a later run found that it is well again.
    well_at         timestamptz,
    UNIQUE NULLS NOT DISTINCT (run, subscription_id, code, message)
);
CREATE INDEX reconciliation_findings_open ON reconciliation_findings (subscription_id)
    WHERE NOT repaired AND well_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON reconciliations, reconciliation_findings TO worksub_worker;
GRANT SELECT ON reconciliations, reconciliation_findings TO worksub_reader;
