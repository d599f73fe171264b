-- Limits are counted in the statement that reads them, so that a burst does not pass them.

-- Sign-ins to Admin: one counter for each hash of an account or an address, which begins again every quarter of an hour.
DROP TABLE failed_sign_ins;
CREATE TABLE sign_in_attempts (
    who_hash bytea       PRIMARY KEY,
    attempts integer     NOT NULL DEFAULT 1,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sign_in_attempts_by_time ON sign_in_attempts (began_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_attempts TO worksub_console;

-- Only hashes of the one version that is verified.
ALTER TABLE administrators
    DROP CONSTRAINT administrators_password_hash_check,
    ADD CONSTRAINT administrators_password_hash_check CHECK (password_hash LIKE '$argon2id$v=19$m=%');
