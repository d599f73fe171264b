-- Two roles that cannot sign in; a deployment's own logins are members of them.
-- The worker adds to the record and cannot change it; people who ask only read.

DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['worksub_worker', 'worksub_reader']
    LOOP
        -- Whoever may not create roles can still migrate where an administrator has made them.
        CONTINUE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = wanted);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this server has just made it
        END;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO worksub_worker, worksub_reader;

GRANT SELECT, INSERT ON
    catalogue_versions, lifecycle_events, ledger_lines, terms_agreements, command_answers, erasure_certificates
    TO worksub_worker;
GRANT SELECT, INSERT, UPDATE ON subscriptions TO worksub_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    account_names, administrators, companies, members, workspaces, domain_tokens, event_notes
    TO worksub_worker;

GRANT SELECT ON
    catalogue_versions, subscriptions, lifecycle_events, ledger_lines, terms_agreements, command_answers,
    erasure_certificates, account_names, domain_tokens, event_notes, workspaces
    TO worksub_reader;
GRANT SELECT ON schema_migrations TO worksub_worker, worksub_reader;
