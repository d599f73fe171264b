-- The schema of release 0.1.0: roles, append-only tables, personal data and its erasure, outboxes, access.
-- docs/architecture.md describes the tables. A later change is a new migration.

-- ---- roles ----------------------------------------------------------------------------------------------
-- Group roles without login; the logins of a deployment are members of them. SECURITY.md lists their rights.

DO $$
DECLARE role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['worksub_worker', 'worksub_reader', 'worksub_product', 'worksub_api',
                                     'worksub_admin', 'worksub_console', 'worksub_exporter']
    LOOP
        -- A login without CREATEROLE can migrate if an administrator has already created the roles.
        CONTINUE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolname = role_name);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- A concurrent migration of another database of this server has created it.
        END;
    END LOOP;
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

-- Only the owner may create objects. Functions of later migrations are also private until they are granted.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA public
    TO worksub_worker, worksub_reader, worksub_product, worksub_api, worksub_admin, worksub_console, worksub_exporter;
GRANT SELECT ON schema_migrations TO worksub_worker, worksub_reader, worksub_console;


-- ---- subscriptions and their events ---------------------------------------------------------------------
-- Timestamps of the recording have a default and no INSERT right, so that only the server's clock sets them.
-- SET STATISTICS 0: ANALYZE copies sampled values into pg_statistic, where they would survive an erasure (R31).

CREATE TABLE catalogue_versions (
    number         integer     PRIMARY KEY,
    version        text        NOT NULL UNIQUE,
    effective_from date        NOT NULL UNIQUE,
    document       jsonb       NOT NULL,
    published_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT (number, version, effective_from, document) ON catalogue_versions TO worksub_worker;
GRANT SELECT ON catalogue_versions TO worksub_reader;

-- The texts of a version: functions of plans, titles and texts of terms. Workflows and activities read the versions
-- only. Restored versions have no texts until the same file is published again.
CREATE TABLE catalogue_texts (
    version  text  PRIMARY KEY REFERENCES catalogue_versions (version),
    document jsonb NOT NULL
);
GRANT SELECT, INSERT ON catalogue_texts TO worksub_worker;
GRANT SELECT ON catalogue_texts TO worksub_reader;

-- One row per subscription: its state (`snapshot`), and the columns that lists filter by.
CREATE TABLE subscriptions (
    subscription_id      text        PRIMARY KEY CHECK (length(subscription_id) <= 100),
    request_id           text        NOT NULL UNIQUE,
    request_fingerprint  text,
    -- After erasure: the keyed hash of the fingerprint. It detects another request under the same request ID.
    erased_request_hash  bytea,
    customer_id          text        NOT NULL,
    state                text        NOT NULL,
    access               text        NOT NULL,
    plan                 text        NOT NULL,
    members              integer     NOT NULL CHECK (members >= 1),
    -- The rows of `members`, counted by a trigger, so that an index finds the subscriptions with more members than seats.
    added_members        integer     NOT NULL DEFAULT 0,
    term                 text,
    sequence             integer     NOT NULL CHECK (sequence >= 1),
    started_at           timestamptz NOT NULL,
    trial_ends_at        timestamptz NOT NULL,
    contract_from        date,
    contract_to          date,
    reservation          text,
    reservation_date     date,
    next_deadline_at     timestamptz,
    next_deadline        text,
    snapshot             json        NOT NULL,
    recorded_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE subscriptions
    ALTER COLUMN snapshot SET STATISTICS 0, ALTER COLUMN request_fingerprint SET STATISTICS 0;
CREATE INDEX subscriptions_by_customer ON subscriptions (customer_id, subscription_id);
CREATE INDEX subscriptions_by_state ON subscriptions (state, subscription_id);
CREATE INDEX subscriptions_by_deadline ON subscriptions (next_deadline_at) WHERE next_deadline_at IS NOT NULL;
CREATE INDEX subscriptions_reserved ON subscriptions (reservation_date, subscription_id)
    WHERE reservation_date IS NOT NULL;
CREATE INDEX subscriptions_by_contract_end ON subscriptions (contract_to, subscription_id)
    WHERE contract_to IS NOT NULL;
CREATE INDEX subscriptions_restricted ON subscriptions (subscription_id) WHERE access = 'RESTRICTED';
-- The administrator uses one of the seats (R36).
CREATE INDEX subscriptions_over_seats ON subscriptions (subscription_id) WHERE added_members >= members;
GRANT SELECT, INSERT,
      UPDATE (customer_id, state, access, plan, members, added_members, term, sequence, started_at, trial_ends_at,
              contract_from, contract_to, reservation, reservation_date, next_deadline_at, next_deadline, snapshot,
              recorded_at)
    ON subscriptions TO worksub_worker;
GRANT SELECT ON subscriptions TO worksub_reader;
GRANT SELECT (subscription_id, customer_id) ON subscriptions TO worksub_api, worksub_admin;

-- A worker that starts a subscription inserts its row, which blocks another worker until the transaction ends, and
-- deletes it in the same transaction. Unlike an advisory lock, this lock requires the right to insert.
CREATE TABLE subscription_locks (
    subscription_id text PRIMARY KEY
);
GRANT SELECT, INSERT, DELETE ON subscription_locks TO worksub_worker;

-- In the same way, concurrent requests of one customer wait for each other where the number of trials is limited (R2).
CREATE TABLE customer_locks (
    customer_id text PRIMARY KEY
);
GRANT SELECT, INSERT, DELETE ON customer_locks TO worksub_worker;

CREATE TABLE lifecycle_events (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    sequence        integer     NOT NULL CHECK (sequence >= 1),
    event           text        NOT NULL,
    state           text        NOT NULL,
    effective_at    timestamptz NOT NULL,
    -- Written once and read as a whole: the text that was recorded is a quarter smaller than jsonb. It leaves out what
    -- follows from the rest (`subscription/event_documents.py`). Messages are rendered when they are read.
    detail          json        NOT NULL,
    -- The way by which the command arrived. It identifies no person; the issuer's name is in event_private_data.
    channel         text        NOT NULL DEFAULT 'SYSTEM'
                                CHECK (channel IN ('CONSOLE', 'API', 'OPERATOR', 'CLI', 'TEMPORAL', 'SIGNAL', 'BULK', 'SYSTEM')),
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, sequence)
);
GRANT SELECT, INSERT (subscription_id, sequence, event, state, effective_at, detail, channel)
    ON lifecycle_events TO worksub_worker;
GRANT SELECT ON lifecycle_events TO worksub_reader;
GRANT SELECT (subscription_id, sequence, event) ON lifecycle_events TO worksub_api, worksub_admin;

-- The elements of a list in an event; none if an event was damaged, so that it blocks no other subscription.
CREATE FUNCTION elements(detail json, list text) RETURNS SETOF json LANGUAGE sql IMMUTABLE AS $$
    SELECT json_array_elements(CASE json_typeof(detail -> list) WHEN 'array' THEN detail -> list END)
$$;
GRANT EXECUTE ON FUNCTION elements(json, text) TO worksub_worker, worksub_reader, worksub_exporter;

-- The accepted terms, which remain after erasure (R3, R31).
CREATE VIEW terms_agreements AS
SELECT DISTINCT subscription_id, sequence, term ->> 'id' AS term_id, term ->> 'version' AS term_version,
       effective_at AS agreed_at
  FROM lifecycle_events, elements(detail, 'agreed_terms') AS term;
GRANT SELECT ON terms_agreements TO worksub_reader;

-- Responses to accepted commands by command ID (R22). An ID may be used again after a month, so several rows may have
-- the same ID; the newest one counts. `fingerprint` is a keyed hash.
CREATE TABLE command_answers (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    command_id      text        NOT NULL,
    sequence        integer     NOT NULL,
    answer          jsonb       NOT NULL,
    answered_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    fingerprint     bytea       NOT NULL,
    PRIMARY KEY (subscription_id, command_id, sequence)
);
GRANT SELECT, INSERT (subscription_id, command_id, sequence, answer, fingerprint) ON command_answers TO worksub_worker;
GRANT SELECT ON command_answers TO worksub_reader;

-- Reasons why subscriptions need attention, copied from Temporal for queries that read the database only.
CREATE TABLE attention (
    subscription_id text PRIMARY KEY,
    kind            text NOT NULL,
    reason          text,
    since           timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON attention TO worksub_worker;
GRANT SELECT ON attention TO worksub_reader;

-- Events numbered per customer in commit order. The row of the counter stays locked until the transaction ends, so a
-- reader never sees a lower number appear after a higher one.
CREATE TABLE customer_event_counters (
    customer_id text   PRIMARY KEY,
    last_number bigint NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON customer_event_counters TO worksub_worker;

CREATE TABLE customer_events (
    customer_id     text    NOT NULL,
    subscription_id text    NOT NULL,
    sequence        integer NOT NULL,
    number          bigint  NOT NULL,
    PRIMARY KEY (customer_id, number),
    FOREIGN KEY (subscription_id, sequence) REFERENCES lifecycle_events
);
GRANT SELECT, INSERT ON customer_events TO worksub_worker;
GRANT SELECT ON customer_events TO worksub_reader;

CREATE FUNCTION number_customer_event() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    customer    text;
    next_number bigint;
BEGIN
    SELECT customer_id INTO STRICT customer FROM subscriptions WHERE subscription_id = NEW.subscription_id;
    INSERT INTO customer_event_counters AS counter VALUES (customer, 1)
    ON CONFLICT (customer_id) DO UPDATE SET last_number = counter.last_number + 1
    RETURNING last_number INTO next_number;
    INSERT INTO customer_events (customer_id, number, subscription_id, sequence)
    VALUES (customer, next_number, NEW.subscription_id, NEW.sequence);
    RETURN NULL;
END
$$;
-- Deferred to the end of the transaction, so that the lock on the counter is short. An erasure, for example, waits for
-- a mail server after it has recorded its event; the customer's other subscriptions must not wait for it.
CREATE CONSTRAINT TRIGGER number_customer_event AFTER INSERT ON lifecycle_events
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION number_customer_event();


-- ---- billing --------------------------------------------------------------------------------------------

-- The key of a line (R22) is the text of its primary key: subscription, kind and first day.
CREATE TABLE ledger_lines (
    subscription_id text        NOT NULL,
    kind            text        NOT NULL,
    first_day       date        NOT NULL,
    end_day         date        NOT NULL CHECK (end_day > first_day),
    sequence        integer     NOT NULL,
    amount          bigint      NOT NULL CHECK (amount > 0),
    effective_at    timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    customer_id     text        NOT NULL,
    PRIMARY KEY (subscription_id, kind, first_day),
    FOREIGN KEY (subscription_id, sequence) REFERENCES lifecycle_events
);
CREATE INDEX ledger_lines_by_customer ON ledger_lines (customer_id, effective_at);
GRANT SELECT, INSERT (subscription_id, kind, first_day, end_day, sequence, amount, effective_at, customer_id)
    ON ledger_lines TO worksub_worker;
GRANT SELECT ON ledger_lines TO worksub_reader;

CREATE FUNCTION line_key(subscription_id text, kind text, first_day date) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT subscription_id || '/' || kind || '/' || to_char(first_day, 'YYYY-MM-DD')
$$;

-- The line with this key, by the index of the subscription's lines.
CREATE FUNCTION line_of_key(key text) RETURNS SETOF ledger_lines LANGUAGE sql STABLE AS $$
    SELECT * FROM ledger_lines
     WHERE subscription_id = regexp_replace(key, '/[^/]*/[^/]*$', '')
       AND line_key(subscription_id, kind, first_day) = key
$$;
GRANT EXECUTE ON FUNCTION line_key(text, text, date), line_of_key(text)
    TO worksub_worker, worksub_reader, worksub_exporter;

-- The ledger lines with their documents, which stand in the events that posted them, and their order in the event.
CREATE VIEW ledger AS
SELECT line_key(subscription_id, kind, first_day) AS key, ledger_lines.*, posted.position, posted.line
  FROM ledger_lines JOIN lifecycle_events USING (subscription_id, sequence)
  LEFT JOIN LATERAL (
       SELECT (number - 1)::integer AS position, line
         FROM elements(detail, 'posted') WITH ORDINALITY AS listed (line, number)
        WHERE line ->> 'kind' = kind AND line ->> 'from' = to_char(first_day, 'YYYY-MM-DD') LIMIT 1
  ) AS posted ON true;
GRANT SELECT ON ledger TO worksub_worker, worksub_reader;

-- Corrections. A ledger line is never changed; a compensating entry refers to it, also after erasure.
CREATE TABLE ledger_adjustments (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    adjustment_id   text        NOT NULL CHECK (adjustment_id ~ '^[A-Za-z0-9._-]{1,40}$'),
    customer_id     text        NOT NULL,
    line_kind       text        NOT NULL,
    line_first_day  date        NOT NULL,
    amount          bigint      NOT NULL CHECK (amount <> 0),
    reason          text        NOT NULL,
    reference       text        NOT NULL CHECK (reference ~ '^[A-Za-z0-9._-]{1,40}$'),
    effective_at    timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, adjustment_id),
    FOREIGN KEY (subscription_id, line_kind, line_first_day) REFERENCES ledger_lines
);
CREATE INDEX ledger_adjustments_by_customer ON ledger_adjustments (customer_id, effective_at);
GRANT SELECT, INSERT (subscription_id, adjustment_id, customer_id, line_kind, line_first_day, amount, reason, reference,
                      effective_at)
    ON ledger_adjustments TO worksub_worker;
GRANT SELECT ON ledger_adjustments TO worksub_reader;

-- Limits each adjustment to the amount of its line. The activity limits their sum; a trigger cannot, because a repair
-- after a restore inserts adjustments in any order.
CREATE FUNCTION limit_adjustment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF abs(NEW.amount) > (SELECT amount FROM ledger_lines
                           WHERE subscription_id = NEW.subscription_id AND kind = NEW.line_kind
                             AND first_day = NEW.line_first_day) THEN
        RAISE EXCEPTION 'an adjustment must not exceed the amount of its ledger line' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER limit_adjustment BEFORE INSERT ON ledger_adjustments
    FOR EACH ROW EXECUTE FUNCTION limit_adjustment();

-- One invoice per customer and month. The counter makes the numbers of a year consecutive.
CREATE TABLE invoice_counters (
    year integer PRIMARY KEY,
    last integer NOT NULL CHECK (last >= 0)
);
GRANT SELECT, INSERT, UPDATE (last) ON invoice_counters TO worksub_worker;

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
GRANT SELECT, INSERT (number, customer_id, month, issued_on, supply, vat, total, document) ON invoices TO worksub_worker;
GRANT SELECT ON invoices TO worksub_reader;

-- The primary key prevents that a ledger line or an adjustment appears on two invoices.
CREATE TABLE invoice_entries (
    entry_key text PRIMARY KEY,
    number    text NOT NULL REFERENCES invoices
);
GRANT SELECT, INSERT ON invoice_entries TO worksub_worker;
GRANT SELECT ON invoice_entries TO worksub_reader;


-- ---- personal data --------------------------------------------------------------------------------------
-- Every table here is deleted by erasure (R31), so no other table refers to it. The worker may insert and cannot
-- delete, except names, which a rename releases, and emails, which the retention job deletes.

-- A group name and a verified domain are HELD by one subscription. A domain that is not verified is only CLAIMED, by any
-- number of subscriptions (R5). The first one that verifies it holds it, and the claims of the others are LOST (R12).
CREATE TABLE account_names (
    name            text        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('GROUP', 'DOMAIN')),
    subscription_id text        NOT NULL REFERENCES subscriptions,
    status          text        NOT NULL CHECK (status IN ('HELD', 'CLAIMED', 'LOST')),
    reserved_since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, subscription_id),
    CHECK (kind = 'DOMAIN' OR status = 'HELD')
);
CREATE UNIQUE INDEX account_names_held ON account_names (name) WHERE status = 'HELD';
ALTER TABLE account_names ALTER COLUMN name SET STATISTICS 0;
CREATE INDEX account_names_by_subscription ON account_names (subscription_id);
GRANT SELECT, INSERT, UPDATE (status), DELETE ON account_names TO worksub_worker;
GRANT SELECT ON account_names TO worksub_reader, worksub_console;

CREATE TABLE administrators (
    subscription_id text PRIMARY KEY REFERENCES subscriptions,
    admin_id        text NOT NULL,
    password_hash   text NOT NULL CHECK (password_hash LIKE '$argon2id$v=19$m=%')
);
ALTER TABLE administrators
    ALTER COLUMN admin_id SET STATISTICS 0, ALTER COLUMN password_hash SET STATISTICS 0;
GRANT SELECT, INSERT ON administrators TO worksub_worker;
GRANT SELECT ON administrators TO worksub_console;

CREATE TABLE companies (
    subscription_id text PRIMARY KEY REFERENCES subscriptions,
    company_name    text NOT NULL,
    company_phone   text NOT NULL,
    company_address text,
    -- The second recipient of notices (R8, R34).
    contact_email   text
);
ALTER TABLE companies
    ALTER COLUMN company_name SET STATISTICS 0, ALTER COLUMN company_phone SET STATISTICS 0,
    ALTER COLUMN company_address SET STATISTICS 0, ALTER COLUMN contact_email SET STATISTICS 0;
GRANT SELECT, INSERT ON companies TO worksub_worker;
GRANT SELECT, UPDATE (company_name, company_phone, company_address, contact_email) ON companies TO worksub_console;
GRANT SELECT (subscription_id, contact_email), UPDATE (contact_email) ON companies TO worksub_api;

-- `number` is the order in which the members of a subscription were added: beyond the seats, the last ones are locked.
CREATE TABLE members (
    subscription_id text   NOT NULL REFERENCES subscriptions,
    member_id       text   NOT NULL,
    name            text,
    number          bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (subscription_id, member_id)
);
ALTER TABLE members
    ALTER COLUMN member_id SET STATISTICS 0, ALTER COLUMN name SET STATISTICS 0,
    ALTER COLUMN number SET STATISTICS 0;
GRANT SELECT, INSERT ON members TO worksub_worker;
GRANT SELECT ON members TO worksub_console;

-- Counts under the lock of the subscription's row: a concurrent change of its members commits before it, or waits.
CREATE FUNCTION count_added_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM public.subscriptions WHERE subscription_id IN (SELECT subscription_id FROM changed_members)
      ORDER BY subscription_id FOR NO KEY UPDATE;
    UPDATE public.subscriptions AS subscription
       SET added_members = (SELECT count(*) FROM public.members
                             WHERE members.subscription_id = subscription.subscription_id)
     WHERE subscription_id IN (SELECT subscription_id FROM changed_members);
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION count_added_members() FROM PUBLIC;
CREATE TRIGGER count_added_members AFTER INSERT ON members
    REFERENCING NEW TABLE AS changed_members FOR EACH STATEMENT EXECUTE FUNCTION count_added_members();
CREATE TRIGGER count_removed_members AFTER DELETE ON members
    REFERENCING OLD TABLE AS changed_members FOR EACH STATEMENT EXECUTE FUNCTION count_added_members();

-- The members in use of each subscription (R36). The administrator uses one seat; after erasure there are none.
CREATE VIEW members_in_use AS
SELECT subscription_id, added_members + (state <> 'ERASED')::integer AS members FROM subscriptions;
GRANT SELECT ON members_in_use TO worksub_worker, worksub_reader;

-- The configuration that the product applies.
CREATE TABLE workspaces (
    subscription_id text    PRIMARY KEY REFERENCES subscriptions,
    account_name    text    NOT NULL,
    region          text    NOT NULL,
    platform        text    NOT NULL,
    plan            text    NOT NULL,
    members         integer NOT NULL,
    access          text    NOT NULL,
    version         integer NOT NULL
);
ALTER TABLE workspaces ALTER COLUMN account_name SET STATISTICS 0;
GRANT SELECT, INSERT, UPDATE ON workspaces TO worksub_worker;
GRANT SELECT ON workspaces TO worksub_product;

CREATE TABLE domain_tokens (
    subscription_id text NOT NULL REFERENCES subscriptions,
    domain          text NOT NULL,
    token           text NOT NULL,
    PRIMARY KEY (subscription_id, domain)
);
ALTER TABLE domain_tokens ALTER COLUMN domain SET STATISTICS 0, ALTER COLUMN token SET STATISTICS 0;
GRANT SELECT, INSERT ON domain_tokens TO worksub_worker;

-- The personal data of events, apart from the events, which remain after erasure.
CREATE TABLE event_private_data (
    subscription_id text    NOT NULL REFERENCES subscriptions,
    sequence        integer NOT NULL,
    issued_by       text,
    private         jsonb   NOT NULL,
    PRIMARY KEY (subscription_id, sequence)
);
ALTER TABLE event_private_data
    ALTER COLUMN issued_by SET STATISTICS 0, ALTER COLUMN private SET STATISTICS 0;
GRANT SELECT, INSERT ON event_private_data TO worksub_worker;
GRANT SELECT (subscription_id, sequence, issued_by) ON event_private_data TO worksub_reader;

-- Adds a member of the stand-in product if a paid seat is free (R36). The subscription's row is locked before its
-- members are counted, so that two requests cannot take the last seat. Errors contain no value of a member, because
-- PostgreSQL's log may outlive the member's data (R31).
CREATE FUNCTION add_member(subscription text, member text, called text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    has_free_seat boolean;
    added         boolean;
BEGIN
    SELECT added_members + 1 < members INTO has_free_seat FROM public.subscriptions
     WHERE subscription_id = subscription AND state <> 'ERASED' FOR NO KEY UPDATE;
    IF has_free_seat THEN
        INSERT INTO public.members (subscription_id, member_id, name) VALUES (subscription, member, called)
        ON CONFLICT DO NOTHING RETURNING true INTO added;
    END IF;
    RETURN coalesce(added, false);
END
$$;

-- Removes a member with this ID and name. An erasure also locks the row of the subscription first, and its members then:
-- in another order, both would wait for each other.
CREATE FUNCTION remove_member(subscription text, member text, called text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    removed boolean;
BEGIN
    PERFORM FROM public.subscriptions WHERE subscription_id = subscription FOR NO KEY UPDATE;
    DELETE FROM public.members
     WHERE subscription_id = subscription AND member_id = member AND name IS NOT DISTINCT FROM called
    RETURNING true INTO removed;
    RETURN coalesce(removed, false);
END
$$;
REVOKE EXECUTE ON FUNCTION add_member(text, text, text), remove_member(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_member(text, text, text), remove_member(text, text, text) TO worksub_console;

-- The complete exports of a subscription (R37). An export itself is not stored.
CREATE TABLE exports (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    taken_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, taken_at)
);
GRANT SELECT ON exports TO worksub_reader;
-- The job `reconcile` counts rows that remain after an erasure.
GRANT SELECT (subscription_id) ON exports TO worksub_worker;


-- ---- notices --------------------------------------------------------------------------------------------
-- The outbox of emails to customers, one row per addressee. A notice has no personal data and remains; its email is
-- deleted by erasure.

CREATE TABLE notices (
    number          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id text        NOT NULL REFERENCES subscriptions,
    customer_id     text        NOT NULL,
    kind            text        NOT NULL,
    event_date      date        NOT NULL,
    threshold_days  integer     NOT NULL,
    -- The number of the event that a confirmation is about; 0 for a notice of the daily job.
    sequence        integer     NOT NULL DEFAULT 0,
    addressee       text        NOT NULL DEFAULT 'ADMINISTRATOR' CHECK (addressee IN ('ADMINISTRATOR', 'CONTACT')),
    -- The day of the job that queued the notice. The contents are rendered for this day or a later one.
    due_on          date        NOT NULL DEFAULT current_date,
    state           text        NOT NULL DEFAULT 'WAITING'
                                CHECK (state IN ('WAITING', 'SENT', 'OUTDATED', 'UNDELIVERABLE')),
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text,
    queued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at    timestamptz,
    CHECK ((state = 'WAITING') = (completed_at IS NULL)),
    UNIQUE (subscription_id, kind, event_date, threshold_days, sequence, addressee)
);
CREATE INDEX notices_waiting ON notices (next_attempt_at, number) WHERE state = 'WAITING';
CREATE INDEX notices_by_state ON notices (state, number);
GRANT SELECT, INSERT, UPDATE, DELETE ON notices TO worksub_worker;
GRANT SELECT ON notices TO worksub_reader;

CREATE TABLE notice_emails (
    number          bigint PRIMARY KEY REFERENCES notices ON DELETE CASCADE,
    subscription_id text   NOT NULL REFERENCES subscriptions,
    recipient       text   NOT NULL,
    subject         text   NOT NULL,
    -- The plain text and the HTML of the email.
    body            text   NOT NULL,
    html            text   NOT NULL
);
ALTER TABLE notice_emails
    ALTER COLUMN recipient SET STATISTICS 0, ALTER COLUMN subject SET STATISTICS 0,
    ALTER COLUMN body SET STATISTICS 0, ALTER COLUMN html SET STATISTICS 0;
CREATE INDEX notice_emails_by_subscription ON notice_emails (subscription_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON notice_emails TO worksub_worker;
GRANT SELECT ON notice_emails TO worksub_reader;


-- ---- export ---------------------------------------------------------------------------------------------
-- The role reads what belongs to an archive (R37), and no hash, key or session. It reads domain tokens because it
-- removes them from the archive.

GRANT INSERT (subscription_id) ON exports TO worksub_exporter;
GRANT SELECT ON lifecycle_events, terms_agreements, ledger_lines, ledger, ledger_adjustments, invoices, account_names,
                companies, members, workspaces, event_private_data, notices, notice_emails
    TO worksub_exporter;
GRANT SELECT (subscription_id, admin_id) ON administrators TO worksub_exporter;
GRANT SELECT (subscription_id, token) ON domain_tokens TO worksub_exporter;
GRANT SELECT (subscription_id, request_id, customer_id, state, access, plan, members, term, sequence, started_at,
              trial_ends_at, contract_from, contract_to, reservation, reservation_date, next_deadline_at,
              next_deadline, snapshot, recorded_at)
    ON subscriptions TO worksub_exporter;


-- ---- webhooks -------------------------------------------------------------------------------------------

CREATE TABLE webhook_endpoints (
    endpoint_id   text        PRIMARY KEY,
    -- NULL: receives the events of all customers.
    customer_id   text,
    url           text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at    timestamptz,
    -- Consecutive failures of the endpoint, and the end of the resulting pause.
    failures      integer     NOT NULL DEFAULT 0,
    paused_until  timestamptz,
    -- PAUSED: events are queued and not sent. DISABLED: events are not queued either.
    status        text        NOT NULL DEFAULT 'ENABLED' CHECK (status IN ('ENABLED', 'PAUSED', 'DISABLED')),
    status_reason text,
    -- The event types that are sent; NULL: all.
    events        text[]      CHECK (cardinality(events) > 0)
);
GRANT SELECT, UPDATE (failures, paused_until, status, status_reason) ON webhook_endpoints TO worksub_worker;
GRANT SELECT (endpoint_id, removed_at, status) ON webhook_endpoints TO worksub_reader;
GRANT SELECT, INSERT (endpoint_id, customer_id, url, events) ON webhook_endpoints TO worksub_api, worksub_admin;
-- The API needs UPDATE on the whole table, because LOCK TABLE ignores column rights.
GRANT UPDATE ON webhook_endpoints TO worksub_api;
GRANT UPDATE (status, status_reason, failures, paused_until, removed_at) ON webhook_endpoints TO worksub_admin;

-- Separate from the endpoints: the logins that manage endpoints cannot read secrets.
CREATE TABLE webhook_secrets (
    endpoint_id text        NOT NULL REFERENCES webhook_endpoints,
    secret      text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz
);
CREATE INDEX webhook_secrets_by_endpoint ON webhook_secrets (endpoint_id);
GRANT SELECT ON webhook_secrets TO worksub_worker;
GRANT SELECT (endpoint_id, created_at, expires_at), INSERT, UPDATE (expires_at), DELETE
    ON webhook_secrets TO worksub_api, worksub_admin;

-- The webhook outbox. A delivery refers to an event, whose content is read when it is sent. A test event has no
-- subscription. A claim replaces a row lock, so that no database connection is held during the HTTP call.
CREATE TABLE webhook_deliveries (
    number          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id     text        NOT NULL REFERENCES webhook_endpoints,
    subscription_id text,
    sequence        integer,
    state           text        NOT NULL DEFAULT 'WAITING' CHECK (state IN ('WAITING', 'DELIVERED', 'PARKED')),
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text,
    queued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at    timestamptz,
    claim           uuid,
    claimed_until   timestamptz,
    CHECK ((state = 'WAITING') = (completed_at IS NULL)),
    CHECK ((subscription_id IS NULL) = (sequence IS NULL)),
    CHECK ((claim IS NULL) = (claimed_until IS NULL)),
    UNIQUE (endpoint_id, subscription_id, sequence),
    FOREIGN KEY (subscription_id, sequence) REFERENCES lifecycle_events
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE state = 'WAITING';
CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (endpoint_id, subscription_id, sequence)
    WHERE state = 'WAITING';
CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (endpoint_id, state, number);
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO worksub_worker;
GRANT SELECT (endpoint_id, state, queued_at, sequence) ON webhook_deliveries TO worksub_reader;
GRANT SELECT,
      INSERT (endpoint_id, subscription_id, sequence),
      UPDATE (state, attempts, last_error, claim, claimed_until, queued_at, next_attempt_at, completed_at)
    ON webhook_deliveries TO worksub_api, worksub_admin;

-- Queues the deliveries of recorded events, in the transaction that records them.
CREATE FUNCTION queue_webhooks() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    -- Without endpoints an event costs only this query.
    IF EXISTS (SELECT FROM webhook_endpoints WHERE removed_at IS NULL) THEN
        INSERT INTO webhook_deliveries (endpoint_id, subscription_id, sequence)
        SELECT endpoint_id, new_events.subscription_id, new_events.sequence
          FROM new_events
          JOIN subscriptions USING (subscription_id)
          JOIN webhook_endpoints AS endpoint ON endpoint.removed_at IS NULL AND endpoint.status <> 'DISABLED'
           AND (endpoint.events IS NULL OR new_events.event = ANY (endpoint.events))
           AND (endpoint.customer_id IS NULL OR endpoint.customer_id = subscriptions.customer_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER queue_webhooks AFTER INSERT ON lifecycle_events
    REFERENCING NEW TABLE AS new_events FOR EACH STATEMENT EXECUTE FUNCTION queue_webhooks();


-- ---- reconciliation -------------------------------------------------------------------------------------

CREATE TABLE reconciliations (
    run         text        PRIMARY KEY,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    checked     integer     NOT NULL DEFAULT 0,
    queried     integer     NOT NULL DEFAULT 0,
    -- The scope of the run: see activities/reconciliation/scope.py. NULL if it did not start at its first page.
    release     text,
    database    text,
    nights      integer,
    turn        integer,
    share       integer,
    -- The run before it, if both servers knew that run.
    previous_run text,
    -- The ID of its last run in Temporal.
    finished_by text
);
CREATE INDEX reconciliations_by_time ON reconciliations (started_at);
GRANT SELECT, INSERT, UPDATE (finished_at, checked, queried, finished_by), DELETE ON reconciliations TO worksub_worker;
GRANT SELECT ON reconciliations TO worksub_reader;

-- Without a foreign key to subscriptions: a finding may concern a subscription without a row, or an invoice.
CREATE TABLE reconciliation_findings (
    run             text        NOT NULL REFERENCES reconciliations ON DELETE CASCADE,
    subscription_id text,
    code            text        NOT NULL,
    message         text        NOT NULL,
    repaired        boolean     NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Set by a later run that no longer has this finding.
    resolved_at     timestamptz,
    UNIQUE NULLS NOT DISTINCT (run, subscription_id, code, message)
);
CREATE INDEX reconciliation_findings_open ON reconciliation_findings (subscription_id)
    WHERE NOT repaired AND resolved_at IS NULL;
GRANT SELECT, INSERT, UPDATE (repaired, resolved_at) ON reconciliation_findings TO worksub_worker;
GRANT SELECT ON reconciliation_findings TO worksub_reader;


-- ---- bulk runs ------------------------------------------------------------------------------------------

-- One command for many subscriptions. The list is fixed in the transaction that stores the run, before its workflow
-- starts. The worker stores an outcome for each subscription. No personal data: neither a filter nor a confirmation.
CREATE TABLE bulk_runs (
    run_id      text        PRIMARY KEY,
    preview     text        NOT NULL,
    command     text        NOT NULL,
    argument    jsonb       NOT NULL,
    revision    integer     NOT NULL,
    rate        integer     NOT NULL CHECK (rate BETWEEN 1 AND 100),
    issued_by   text,
    state       text        NOT NULL DEFAULT 'RUNNING' CHECK (state IN ('RUNNING', 'PAUSED', 'STOPPED', 'COMPLETED')),
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
CREATE INDEX bulk_runs_by_time ON bulk_runs (started_at);
GRANT SELECT, UPDATE (state, finished_at), DELETE ON bulk_runs TO worksub_worker;
GRANT SELECT ON bulk_runs TO worksub_reader;
GRANT INSERT (run_id, preview, command, argument, revision, rate, issued_by)
    ON bulk_runs TO worksub_api, worksub_admin, worksub_console;

CREATE TABLE bulk_items (
    run_id          text    NOT NULL REFERENCES bulk_runs ON DELETE CASCADE,
    position        integer NOT NULL,
    subscription_id text    NOT NULL,
    customer_id     text    NOT NULL,
    -- The state and the day of the dry run. The command is refused if either has changed.
    sequence        integer NOT NULL,
    expected_on     date    NOT NULL,
    monthly_before  bigint  NOT NULL,
    monthly_after   bigint  NOT NULL,
    charge          bigint  NOT NULL,
    outcome         text    CHECK (outcome IN ('ACCEPTED', 'REFUSED', 'UNANSWERED')),
    code            text,
    completed_at    timestamptz,
    PRIMARY KEY (run_id, position),
    UNIQUE (run_id, subscription_id)
);
CREATE INDEX bulk_items_waiting ON bulk_items (run_id, position) WHERE outcome IS NULL;
GRANT SELECT, UPDATE (outcome, code, completed_at) ON bulk_items TO worksub_worker;
GRANT SELECT ON bulk_items TO worksub_reader;
GRANT INSERT (run_id, position, subscription_id, customer_id, sequence, expected_on, monthly_before, monthly_after,
              charge, outcome, code)
    ON bulk_items TO worksub_api, worksub_admin, worksub_console;


-- ---- API and console ------------------------------------------------------------------------------------

-- `hash` is a plain SHA-256: a key has 256 random bits, so a slow hash is not needed.
CREATE TABLE api_keys (
    prefix       text        PRIMARY KEY CHECK (prefix ~ '^[a-z0-9]{10}$'),
    hash         bytea       NOT NULL CHECK (length(hash) = 32),
    -- NULL: an operator's key, for all customers.
    customer_id  text,
    label        text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_keys_by_customer ON api_keys (customer_id, created_at);
GRANT SELECT, UPDATE (last_used_at) ON api_keys TO worksub_api;
GRANT SELECT, INSERT, UPDATE (expires_at) ON api_keys TO worksub_admin;

-- Accepted writes of the API itself, by Idempotency-Key. `caller` is a customer, or empty for operators.
CREATE TABLE api_writes (
    caller      text        NOT NULL,
    key         text        NOT NULL,
    fingerprint text        NOT NULL,
    answer      jsonb,
    written_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, key)
);
CREATE INDEX api_writes_by_age ON api_writes (written_at);
GRANT SELECT, INSERT, UPDATE (answer) ON api_writes TO worksub_api;
GRANT SELECT, DELETE ON api_writes TO worksub_worker;

CREATE TABLE console_sessions (
    token_hash      bytea       PRIMARY KEY,
    realm           text        NOT NULL CHECK (realm IN ('CONSOLE', 'WORKS_ADMIN')),
    customer_id     text,
    -- Of an administrator, whose session ends with the subscription (R31).
    subscription_id text,
    name            text        NOT NULL,
    key             bytea       NOT NULL,
    document        jsonb       NOT NULL DEFAULT '{}',
    flash_message   text,
    flash_tone      text        CHECK (flash_tone IN ('GOOD', 'NEUTRAL')),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((realm = 'WORKS_ADMIN') = (subscription_id IS NOT NULL)),
    -- A session of the console without a customer is an operator's; an administrator must never become one.
    CHECK (realm <> 'WORKS_ADMIN' OR customer_id IS NOT NULL)
);
ALTER TABLE console_sessions
    ALTER COLUMN name SET STATISTICS 0, ALTER COLUMN document SET STATISTICS 0,
    ALTER COLUMN flash_message SET STATISTICS 0;
CREATE INDEX console_sessions_by_subscription ON console_sessions (subscription_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON console_sessions TO worksub_console;
-- The job `reconcile` counts rows that remain after an erasure.
GRANT SELECT (subscription_id) ON console_sessions TO worksub_worker;

-- Rate limit of sign-ins to Admin: one counter per hash of an account or address, reset every 15 minutes. The statement
-- that reads the counter increments it, so concurrent attempts cannot exceed the limit.
CREATE TABLE sign_in_attempts (
    subject_hash bytea       PRIMARY KEY,
    attempts     integer     NOT NULL DEFAULT 1,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sign_in_attempts_by_time ON sign_in_attempts (started_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_attempts TO worksub_console;


-- ---- keys -----------------------------------------------------------------------------------------------

-- The key of the hashes that remain after erasure. No login can read it: with the key, a reader could guess names from
-- the hashes of an erased subscription.
CREATE TABLE hash_keys (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    key       bytea   NOT NULL
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

-- Keys of the workers' message authentication codes. Workers sign with the newest key that they read at start.
CREATE TABLE worker_keys (
    number      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         bytea NOT NULL UNIQUE DEFAULT sha256(convert_to(
                    gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO worker_keys DEFAULT VALUES;
GRANT SELECT ON worker_keys TO worksub_worker;


-- ---- erasure --------------------------------------------------------------------------------------------
-- Functions with SECURITY DEFINER qualify every name.

CREATE TABLE erasure_certificates (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    part            text        NOT NULL CHECK (part IN ('DATABASE', 'HISTORIES')),
    erased_at       timestamptz NOT NULL,
    rows            jsonb       NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, part)
);
GRANT SELECT ON erasure_certificates TO worksub_worker, worksub_reader;

CREATE TABLE personal_data (
    relation text PRIMARY KEY
);
COMMENT ON TABLE personal_data IS 'The tables with personal data. Erasure deletes their rows by subscription_id.';

-- Refuses rows of an erased subscription.
CREATE FUNCTION refuse_after_erasure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- An erasure holds this lock: a concurrent write commits before it, or finds the certificate.
    PERFORM FROM public.subscriptions WHERE subscription_id = NEW.subscription_id FOR KEY SHARE;
    IF EXISTS (SELECT FROM public.erasure_certificates
                WHERE subscription_id = NEW.subscription_id AND part = 'DATABASE') THEN
        RAISE EXCEPTION 'the subscription is erased: % of % is not possible', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;

-- For this and later migrations: CALL register_personal_data('table').
CREATE PROCEDURE register_personal_data(named text) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.personal_data (relation) VALUES (named);
    EXECUTE format('CREATE TRIGGER refuse_after_erasure BEFORE INSERT OR UPDATE ON public.%I
                    FOR EACH ROW EXECUTE FUNCTION public.refuse_after_erasure()', named);
END
$$;

CALL register_personal_data('account_names');
CALL register_personal_data('administrators');
CALL register_personal_data('companies');
CALL register_personal_data('members');
CALL register_personal_data('workspaces');
CALL register_personal_data('domain_tokens');
CALL register_personal_data('event_private_data');
CALL register_personal_data('notice_emails');
CALL register_personal_data('console_sessions');
CALL register_personal_data('exports');

-- A change of the status adds no data. With the trigger, a subscription that verifies a domain would wait for the row
-- locks of the other claimants, which wait for this name: a deadlock.
DROP TRIGGER refuse_after_erasure ON account_names;
CREATE TRIGGER refuse_after_erasure BEFORE INSERT OR UPDATE OF name, kind, subscription_id ON account_names
    FOR EACH ROW EXECUTE FUNCTION refuse_after_erasure();

CREATE FUNCTION contains_personal_data(snapshot json) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_strip_nulls(snapshot::jsonb) ?| ARRAY['account', 'admin_id', 'pending_domain', 'pending_rename_domain']
$$;

CREATE FUNCTION keep_erased() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.state <> 'ERASED' OR public.contains_personal_data(NEW.snapshot) OR NEW.request_fingerprint IS NOT NULL)
        AND EXISTS (SELECT FROM public.erasure_certificates
                     WHERE subscription_id = NEW.subscription_id AND part = 'DATABASE') THEN
        RAISE EXCEPTION 'an erased subscription cannot be changed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_erased BEFORE UPDATE ON subscriptions
    FOR EACH ROW WHEN (OLD.state = 'ERASED') EXECUTE FUNCTION keep_erased();

CREATE FUNCTION matches_erased_request(requested text, fingerprint text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(erased_request_hash = public.keyed_hash(fingerprint), true)
      FROM public.subscriptions WHERE subscription_id = requested
$$;

-- Deletes the personal data of a subscription and certifies the number of deleted rows. A repeated call deletes rows
-- that a restored backup has brought back, and returns the first certificate.
CREATE FUNCTION erase_personal_data(erased text) RETURNS TABLE (erased_at timestamptz, rows jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    ended_at     timestamptz;
    table_name   text;
    deleted      bigint;
    remaining    boolean;
    deleted_rows jsonb := '{}';
BEGIN
    PERFORM FROM public.subscriptions WHERE subscription_id = erased FOR UPDATE;
    IF NOT EXISTS (SELECT FROM public.erasure_certificates
                    WHERE subscription_id = erased AND part = 'DATABASE') THEN
        SELECT effective_at INTO ended_at
          FROM public.subscriptions AS current JOIN public.lifecycle_events USING (subscription_id, sequence)
         WHERE subscription_id = erased AND current.state = 'ERASED' AND event = 'ERASED'
           AND NOT public.contains_personal_data(snapshot)
           AND EXISTS (SELECT FROM public.lifecycle_events AS canceled
                        WHERE canceled.subscription_id = erased AND canceled.event = 'CANCELED'
                          AND canceled.sequence < current.sequence);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the subscription is not recorded as canceled and erased: nothing is deleted or certified'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END IF;
    -- Before the members, whose deletion changes the row: `keep_erased` refuses a row with a fingerprint.
    UPDATE public.subscriptions
       SET erased_request_hash = public.keyed_hash(request_fingerprint), request_fingerprint = NULL
     WHERE subscription_id = erased AND request_fingerprint IS NOT NULL;
    FOR table_name IN SELECT relation FROM public.personal_data ORDER BY relation
    LOOP
        EXECUTE format('DELETE FROM public.%I WHERE subscription_id = $1', table_name) USING erased;
        GET DIAGNOSTICS deleted = ROW_COUNT;
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE subscription_id = $1)', table_name)
            INTO remaining USING erased;
        IF remaining THEN
            RAISE EXCEPTION 'rows remain in % after the erasure', table_name;
        END IF;
        deleted_rows := deleted_rows || jsonb_build_object(table_name, deleted);
    END LOOP;
    IF ended_at IS NOT NULL THEN
        INSERT INTO public.erasure_certificates (subscription_id, part, erased_at, rows)
        VALUES (erased, 'DATABASE', ended_at, deleted_rows);
    END IF;
    RETURN QUERY SELECT erased_at, rows FROM public.erasure_certificates
                  WHERE subscription_id = erased AND part = 'DATABASE';
END
$$;

-- The worker reports the number of deleted workflow runs, because they are not in this database. The time is that of
-- the database's certificate.
CREATE FUNCTION certify_histories(erased text, runs integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.erasure_certificates (subscription_id, part, erased_at, rows)
    SELECT subscription_id, 'HISTORIES', erased_at, jsonb_build_object('workflow_runs', greatest(runs, 0))
      FROM public.erasure_certificates WHERE subscription_id = erased AND part = 'DATABASE'
    ON CONFLICT DO NOTHING
$$;

REVOKE EXECUTE ON PROCEDURE register_personal_data(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION
    refuse_after_erasure(), contains_personal_data(json), keep_erased(), matches_erased_request(text, text),
    erase_personal_data(text), certify_histories(text, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_personal_data(text), certify_histories(text, integer) TO worksub_worker;
GRANT EXECUTE ON FUNCTION matches_erased_request(text, text) TO worksub_worker, worksub_reader;


-- ---- append-only tables ---------------------------------------------------------------------------------

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is not possible', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
REVOKE EXECUTE ON FUNCTION refuse_change() FROM PUBLIC;

DO $$
DECLARE append_only text;
BEGIN
    FOREACH append_only IN ARRAY ARRAY['catalogue_versions', 'catalogue_texts', 'lifecycle_events', 'command_answers',
                                       'ledger_lines', 'ledger_adjustments', 'invoices', 'invoice_entries',
                                       'erasure_certificates']
    LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', append_only);
        -- ALWAYS: also in sessions that disable triggers by session_replication_role.
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', append_only);
    END LOOP;
END
$$;
