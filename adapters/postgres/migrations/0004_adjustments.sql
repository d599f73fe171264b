-- What was charged wrongly is never edited: a compensating line stands beside it, also after erasure.

CREATE TABLE ledger_adjustments (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    adjustment_id   text        NOT NULL CHECK (adjustment_id ~ '^[A-Za-z0-9._-]{1,40}$'),
    customer_id     text        NOT NULL,
    line_key        text        NOT NULL REFERENCES ledger_lines,
    amount          bigint      NOT NULL CHECK (amount <> 0),
    reason          text        NOT NULL,
    reference       text        NOT NULL CHECK (reference ~ '^[A-Za-z0-9._-]{1,40}$'),
    effective_at    timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, adjustment_id)
);
CREATE INDEX ledger_adjustments_by_customer ON ledger_adjustments (customer_id, effective_at);
CREATE INDEX ledger_adjustments_by_line ON ledger_adjustments (line_key);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_adjustments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON ledger_adjustments TO worksub_worker;
GRANT SELECT ON ledger_adjustments TO worksub_reader;
