-- Rights as separate as the processes, and certificates that nothing but an erasure writes (R31).

-- Nobody but the owner makes anything here, and what a later migration makes is the owner's until it is granted.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION refuse_change() FROM PUBLIC;

DO $$
DECLARE guarded regclass;
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    -- ALWAYS: also for a session that has put triggers to sleep with session_replication_role.
    FOR guarded IN SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'append_only'
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', guarded);
    END LOOP;
END
$$;


-- The worker adds to the record. When that was is said by the database's own clock, and by nobody else.

DO $$
DECLARE stamped record;
BEGIN
    FOR stamped IN SELECT * FROM (VALUES
        ('lifecycle_events', 'recorded_at'), ('ledger_lines', 'recorded_at'), ('ledger_adjustments', 'recorded_at'),
        ('invoices', 'recorded_at'), ('command_answers', 'answered_at'), ('catalogue_versions', 'published_at')
    ) AS each (relation, clock)
    LOOP
        EXECUTE format('REVOKE INSERT ON %I FROM worksub_worker', stamped.relation);
        EXECUTE format('GRANT INSERT (%s) ON %I TO worksub_worker',
            (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
              WHERE attrelid = stamped.relation::regclass AND attnum > 0 AND NOT attisdropped
                AND attname <> stamped.clock),
            stamped.relation);
    END LOOP;
END
$$;

REVOKE UPDATE ON subscriptions FROM worksub_worker;
GRANT UPDATE (customer_id, state, access, plan, members, term, sequence, started_at, trial_ends_at, contract_from,
              contract_to, reservation, reservation_date, next_deadline_at, next_deadline, snapshot, recorded_at)
    ON subscriptions TO worksub_worker;

-- What names a person is deleted by an erasure alone. A name is also released, and letters go with age.
REVOKE UPDATE, DELETE ON administrators, companies, members, domain_tokens, event_notes FROM worksub_worker;
REVOKE UPDATE ON account_names FROM worksub_worker;
REVOKE DELETE ON workspaces FROM worksub_worker;

REVOKE UPDATE, DELETE ON reconciliation_findings FROM worksub_worker;
GRANT UPDATE (repaired, well_at) ON reconciliation_findings TO worksub_worker;
REVOKE UPDATE ON reconciliations, invoice_counters FROM worksub_worker;
GRANT UPDATE (finished_at, looked_at) ON reconciliations TO worksub_worker;
GRANT UPDATE (last) ON invoice_counters TO worksub_worker;

-- Whoever asks sees what `SubscriptionClient` answers from, and no more.
REVOKE SELECT ON workspaces, domain_tokens, event_notes FROM worksub_reader;

-- The product reads what it shall be, if it reads that here.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'worksub_product') THEN
        CREATE ROLE worksub_product NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL; -- another database of this server has just made it
END
$$;
GRANT USAGE ON SCHEMA public TO worksub_product;
GRANT SELECT ON workspaces TO worksub_product;


-- Erasure. These functions run with the owner's rights, so they name everything in full.

CREATE TABLE personal_data (
    relation text PRIMARY KEY
);
COMMENT ON TABLE personal_data IS 'Every table that may name a person, by subscription_id: erased with it.';

CREATE FUNCTION refuse_return() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Who erases holds this row: what comes at the same time has come before it, or finds the certificate.
    PERFORM FROM public.subscriptions WHERE subscription_id = NEW.subscription_id FOR KEY SHARE;
    IF EXISTS (SELECT FROM public.erasure_certificates
                WHERE subscription_id = NEW.subscription_id AND part = 'DATABASE') THEN
        RAISE EXCEPTION 'the subscription is erased: % of % is not possible', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

-- For this migration and later ones: CALL erased_with_its_subscription('table').
CREATE PROCEDURE erased_with_its_subscription(named text) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.personal_data (relation) VALUES (named);
    EXECUTE format('CREATE TRIGGER refuse_return BEFORE INSERT OR UPDATE ON public.%I
                    FOR EACH ROW EXECUTE FUNCTION public.refuse_return()', named);
END
$$;
REVOKE EXECUTE ON PROCEDURE erased_with_its_subscription(text) FROM PUBLIC;

DO $$
DECLARE named text;
BEGIN
    FOREACH named IN ARRAY ARRAY['account_names', 'administrators', 'companies', 'members', 'workspaces',
                                 'domain_tokens', 'event_notes', 'notice_letters']
    LOOP
        CALL erased_with_its_subscription(named);
    END LOOP;
END
$$;

CREATE FUNCTION names_somebody(snapshot jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_strip_nulls(snapshot) ?| ARRAY['account', 'admin_id', 'claim', 'rename_claim']
$$;

CREATE FUNCTION stay_erased() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.state <> 'ERASED' OR public.names_somebody(NEW.snapshot) OR NEW.request_fingerprint IS NOT NULL)
        AND EXISTS (SELECT FROM public.erasure_certificates
                     WHERE subscription_id = NEW.subscription_id AND part = 'DATABASE') THEN
        RAISE EXCEPTION 'the subscription is erased: it stays so' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER stay_erased BEFORE UPDATE ON subscriptions
    FOR EACH ROW WHEN (OLD.state = 'ERASED') EXECUTE FUNCTION stay_erased();

-- Histories are not in this database: how many runs there were is the worker's word, and when is not.
CREATE FUNCTION certify_histories(erased text, runs integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.erasure_certificates (subscription_id, part, erased_at, rows)
    SELECT subscription_id, 'HISTORIES', erased_at, jsonb_build_object('workflow_runs', greatest(runs, 0))
      FROM public.erasure_certificates WHERE subscription_id = erased AND part = 'DATABASE'
    ON CONFLICT DO NOTHING
$$;

REVOKE INSERT ON erasure_certificates FROM worksub_worker;
REVOKE EXECUTE ON FUNCTION
    refuse_return(), stay_erased(), names_somebody(jsonb), certify_histories(text, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION certify_histories(text, integer) TO worksub_worker;
