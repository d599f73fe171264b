-- What the console keeps: who is signed in, and what the stand-in for NAVER WORKS Admin writes.

CREATE TABLE console_sessions (
    token_hash      bytea       PRIMARY KEY,
    realm           text        NOT NULL CHECK (realm IN ('SIGNING_IN', 'CONSOLE', 'WORKS_ADMIN')),
    customer_id     text,
    -- Of an administrator, whose session ends with the subscription (R31).
    subscription_id text,
    name            text        NOT NULL,
    key             bytea       NOT NULL,
    document        jsonb       NOT NULL DEFAULT '{}',
    told            text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((realm = 'WORKS_ADMIN') = (subscription_id IS NOT NULL))
);
CREATE INDEX console_sessions_by_subscription ON console_sessions (subscription_id);

-- Whoever failed to sign in, as a hash of account and address; forgotten after a quarter of an hour.
CREATE TABLE failed_sign_ins (
    who_hash bytea       NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX failed_sign_ins_by_who ON failed_sign_ins (who_hash, at);

ALTER TABLE companies ADD COLUMN company_address text;
ALTER TABLE members ADD COLUMN name text;

CALL erased_with_its_subscription('console_sessions');
-- As 0014 says of the others: nothing is sampled of what may name a person.
ALTER TABLE console_sessions
    ALTER COLUMN name SET STATISTICS 0, ALTER COLUMN document SET STATISTICS 0, ALTER COLUMN told SET STATISTICS 0;
ALTER TABLE companies ALTER COLUMN company_address SET STATISTICS 0;
ALTER TABLE members ALTER COLUMN name SET STATISTICS 0;

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'worksub_console') THEN
        BEGIN
            CREATE ROLE worksub_console NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this server has just made it
        END;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA public TO worksub_console;
GRANT SELECT ON administrators, account_names, companies, schema_migrations TO worksub_console;
GRANT UPDATE (company_name, company_phone, company_address) ON companies TO worksub_console;
GRANT SELECT, INSERT, DELETE ON members, failed_sign_ins TO worksub_console;
GRANT SELECT, INSERT, UPDATE, DELETE ON console_sessions TO worksub_console;
-- `reconcile` counts what an erasure has left.
GRANT SELECT (subscription_id) ON console_sessions TO worksub_worker;
