-- Everything that names a person. All of it goes at erasure (R31), so none of it is referred to by the record.

CREATE TABLE account_names (
    name            text        PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN ('GROUP', 'DOMAIN')),
    subscription_id text        NOT NULL REFERENCES subscriptions,
    held_since      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX account_names_by_subscription ON account_names (subscription_id);

CREATE TABLE administrators (
    subscription_id text PRIMARY KEY REFERENCES subscriptions,
    admin_id        text NOT NULL,
    password_hash   text NOT NULL CHECK (password_hash LIKE '$argon2id$%')
);

CREATE TABLE companies (
    subscription_id text PRIMARY KEY REFERENCES subscriptions,
    company_name    text NOT NULL,
    company_phone   text NOT NULL
);

CREATE TABLE members (
    subscription_id text NOT NULL REFERENCES subscriptions,
    member_id       text NOT NULL,
    PRIMARY KEY (subscription_id, member_id)
);

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

CREATE TABLE domain_tokens (
    subscription_id text NOT NULL REFERENCES subscriptions,
    domain          text NOT NULL,
    token           text NOT NULL,
    PRIMARY KEY (subscription_id, domain)
);

CREATE TABLE event_notes (
    subscription_id text    NOT NULL REFERENCES subscriptions,
    sequence        integer NOT NULL,
    asked_by        text,
    private         jsonb   NOT NULL,
    PRIMARY KEY (subscription_id, sequence)
);
