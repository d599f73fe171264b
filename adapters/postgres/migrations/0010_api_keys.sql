-- Who may ask over HTTP. Of a key only its hash is kept: 256 random bits need no slow one.

DO $$
DECLARE wanted text;
BEGIN
    -- The process that answers HTTP, and the operators who say what it may answer to whom.
    FOREACH wanted IN ARRAY ARRAY['worksub_api', 'worksub_admin']
    LOOP
        CONTINUE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this server has just made it
        END;
    END LOOP;
END
$$;

CREATE TABLE api_keys (
    prefix       text        PRIMARY KEY CHECK (prefix ~ '^[a-z0-9]{10}$'),
    hash         bytea       NOT NULL CHECK (length(hash) = 32),
    -- NULL: the operators', who see everything.
    customer_id  text,
    label        text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- From then on it opens nothing.
    ends_at      timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_keys_by_customer ON api_keys (customer_id, created_at);

GRANT USAGE ON SCHEMA public TO worksub_api, worksub_admin;
GRANT SELECT, UPDATE (last_used_at) ON api_keys TO worksub_api;
GRANT SELECT, INSERT, UPDATE (ends_at) ON api_keys TO worksub_admin;
