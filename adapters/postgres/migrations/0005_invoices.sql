-- One invoice for a customer and month. It is never changed, and its number leaves no gap.

CREATE TABLE invoice_counters (
    year integer PRIMARY KEY,
    last integer NOT NULL CHECK (last >= 0)
);

CREATE TABLE invoices (
    number      text        PRIMARY KEY,
    customer_id text        NOT NULL,
    month       date        NOT NULL CHECK (extract(day FROM month) = 1),
    issued_on   date        NOT NULL,
    supply      bigint      NOT NULL,
    vat         bigint      NOT NULL,
    total       bigint      NOT NULL CHECK (total = supply + vat),
    document    jsonb       NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (customer_id, month)
);
CREATE INDEX invoices_by_month ON invoices (month, number);

-- Whatever stands on an invoice stands on one alone.
CREATE TABLE invoice_entries (
    entry_key text PRIMARY KEY,
    number    text NOT NULL REFERENCES invoices
);

DO $$
DECLARE append_only text;
BEGIN
    FOREACH append_only IN ARRAY ARRAY['invoices', 'invoice_entries']
    LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', append_only);
    END LOOP;
END
$$;

GRANT SELECT, INSERT ON invoices, invoice_entries TO worksub_worker;
GRANT SELECT, INSERT, UPDATE ON invoice_counters TO worksub_worker;
GRANT SELECT ON invoices, invoice_entries TO worksub_reader;
