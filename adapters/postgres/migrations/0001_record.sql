-- The record: what happened, what was charged, and the row that lists read.
-- Append-only tables are held by triggers, so that not even their owner changes them by mistake.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is not possible', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TABLE catalogue_versions (
    number         integer     PRIMARY KEY,
    version        text        NOT NULL UNIQUE,
    effective_from date        NOT NULL UNIQUE,
    document       jsonb       NOT NULL,
    published_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE subscriptions (
    subscription_id     text        PRIMARY KEY CHECK (length(subscription_id) <= 100),
    request_id          text        NOT NULL UNIQUE,
    request_fingerprint text,
    customer_id         text        NOT NULL,
    state               text        NOT NULL,
    access              text        NOT NULL,
    plan                text        NOT NULL,
    members             integer     NOT NULL CHECK (members >= 1),
    term                text,
    sequence            integer     NOT NULL CHECK (sequence >= 1),
    started_at          timestamptz NOT NULL,
    trial_ends_at       timestamptz NOT NULL,
    contract_from       date,
    contract_to         date,
    reservation         text,
    reservation_date    date,
    next_deadline_at    timestamptz,
    next_deadline       text,
    snapshot            jsonb       NOT NULL,
    recorded_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX subscriptions_by_customer ON subscriptions (customer_id, subscription_id);
CREATE INDEX subscriptions_by_state ON subscriptions (state, subscription_id);
CREATE INDEX subscriptions_by_deadline ON subscriptions (next_deadline_at) WHERE next_deadline_at IS NOT NULL;

CREATE TABLE lifecycle_events (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    sequence        integer     NOT NULL CHECK (sequence >= 1),
    event           text        NOT NULL,
    state           text        NOT NULL,
    effective_at    timestamptz NOT NULL,
    message         text        NOT NULL,
    detail          jsonb       NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, sequence)
);

CREATE TABLE ledger_lines (
    key             text        PRIMARY KEY,
    subscription_id text        NOT NULL,
    sequence        integer     NOT NULL,
    position        integer     NOT NULL,
    customer_id     text        NOT NULL,
    kind            text        NOT NULL,
    first_day       date        NOT NULL,
    end_day         date        NOT NULL CHECK (end_day > first_day),
    amount          bigint      NOT NULL CHECK (amount > 0),
    effective_at    timestamptz NOT NULL,
    line            jsonb       NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (subscription_id, kind, first_day),
    UNIQUE (subscription_id, sequence, position),
    FOREIGN KEY (subscription_id, sequence) REFERENCES lifecycle_events
);
CREATE INDEX ledger_lines_by_customer ON ledger_lines (customer_id, effective_at);

CREATE TABLE terms_agreements (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    sequence        integer     NOT NULL,
    term_id         text        NOT NULL,
    term_version    text        NOT NULL,
    agreed_at       timestamptz NOT NULL,
    PRIMARY KEY (subscription_id, sequence, term_id)
);

CREATE TABLE command_answers (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    command_id      text        NOT NULL,
    sequence        integer     NOT NULL,
    answer          jsonb       NOT NULL,
    answered_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- An id may be used again once it has been forgotten, a month later; the newest answer is then its own.
    PRIMARY KEY (subscription_id, command_id, sequence)
);

CREATE TABLE erasure_certificates (
    subscription_id text        NOT NULL REFERENCES subscriptions,
    part            text        NOT NULL CHECK (part IN ('DATABASE', 'HISTORIES')),
    erased_at       timestamptz NOT NULL,
    rows            jsonb       NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription_id, part)
);

DO $$
DECLARE append_only text;
BEGIN
    FOREACH append_only IN ARRAY ARRAY['catalogue_versions', 'lifecycle_events', 'ledger_lines',
                                       'terms_agreements', 'command_answers', 'erasure_certificates']
    LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', append_only);
    END LOOP;
END
$$;
