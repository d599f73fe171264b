-- What tells another body under a command's id from the same one sent again (R22), after erasure too. A hash under a
-- key that nobody can read: without it, names could be guessed from what is left of an erased subscription.

CREATE TABLE hash_keys (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    key      bytea   NOT NULL
);
INSERT INTO hash_keys (key) VALUES (
    decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);

CREATE FUNCTION keyed_hash(value text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(key || convert_to(value, 'UTF8')) FROM public.hash_keys
$$;
REVOKE EXECUTE ON FUNCTION keyed_hash(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keyed_hash(text) TO worksub_worker, worksub_reader;

ALTER TABLE command_answers ADD COLUMN fingerprint bytea NOT NULL;
GRANT INSERT (fingerprint) ON command_answers TO worksub_worker;
