-- What only a worker can make: the keys of its seals. A new row is a new key, which signs from the next start on.
CREATE TABLE worker_keys (
    number      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea NOT NULL UNIQUE DEFAULT sha256(convert_to(
                    gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO worker_keys DEFAULT VALUES;
GRANT SELECT ON worker_keys TO worksub_worker;

-- The hash of the request of an erased subscription: it tells another body under the same request_id, and names nobody.
ALTER TABLE subscriptions ADD COLUMN erased_request bytea;

CREATE FUNCTION was_requested_so(requested text, fingerprint text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(erased_request = public.keyed_hash(fingerprint), true)
      FROM public.subscriptions WHERE subscription_id = requested
$$;

-- The certificate says what this very call has deleted. A second call deletes what has come since, from a backup,
-- and gives the first certificate.
CREATE FUNCTION erase_personal_data(erased text) RETURNS TABLE (erased_at timestamptz, rows jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    ended_at timestamptz;
    named    text;
    counted  bigint;
    remains  boolean;
    gone     jsonb := '{}';
BEGIN
    PERFORM FROM public.subscriptions WHERE subscription_id = erased FOR UPDATE;
    IF NOT EXISTS (SELECT FROM public.erasure_certificates
                    WHERE subscription_id = erased AND part = 'DATABASE') THEN
        SELECT effective_at INTO ended_at
          FROM public.subscriptions AS told JOIN public.lifecycle_events USING (subscription_id, sequence)
         WHERE subscription_id = erased AND told.state = 'ERASED' AND event = 'ERASED'
           AND NOT public.names_somebody(snapshot)
           AND EXISTS (SELECT FROM public.lifecycle_events AS cancelled
                        WHERE cancelled.subscription_id = erased AND cancelled.event = 'CANCELED'
                          AND cancelled.sequence < told.sequence);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the subscription is not recorded as cancelled and erased: nothing is deleted or certified'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    FOR named IN SELECT relation FROM public.personal_data ORDER BY relation
    LOOP
        EXECUTE format('DELETE FROM public.%I WHERE subscription_id = $1', named) USING erased;
        GET DIAGNOSTICS counted = ROW_COUNT;
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE subscription_id = $1)', named)
            INTO remains USING erased;
        IF remains THEN
            RAISE EXCEPTION 'the erasure left rows behind in %', named;
        END IF;
        gone := gone || jsonb_build_object(named, counted);
    END LOOP;
    UPDATE public.subscriptions
       SET erased_request = public.keyed_hash(request_fingerprint), request_fingerprint = NULL
     WHERE subscription_id = erased AND request_fingerprint IS NOT NULL;
    IF ended_at IS NOT NULL THEN
        INSERT INTO public.erasure_certificates (subscription_id, part, erased_at, rows)
        VALUES (erased, 'DATABASE', ended_at, gone);
    END IF;
    RETURN QUERY SELECT erased_at, rows FROM public.erasure_certificates
                  WHERE subscription_id = erased AND part = 'DATABASE';
END
$$;

REVOKE EXECUTE ON FUNCTION was_requested_so(text, text), erase_personal_data(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_personal_data(text) TO worksub_worker;
GRANT EXECUTE ON FUNCTION was_requested_so(text, text) TO worksub_worker, worksub_reader;
