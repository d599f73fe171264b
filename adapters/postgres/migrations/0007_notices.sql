-- What customers are told, each once. A notice names nobody and outlives its letter, which does (R31).

CREATE TABLE notices (
    number          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id text        NOT NULL REFERENCES subscriptions,
    customer_id     text        NOT NULL,
    kind            text        NOT NULL,
    about           date        NOT NULL,
    days            integer     NOT NULL,
    state           text        NOT NULL DEFAULT 'WAITING'
                                CHECK (state IN ('WAITING', 'SENT', 'OUTDATED', 'GIVEN_UP')),
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text,
    queued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at      timestamptz,
    CHECK ((state = 'WAITING') = (settled_at IS NULL)),
    UNIQUE (subscription_id, kind, about, days)
);
CREATE INDEX notices_waiting ON notices (next_attempt_at, number) WHERE state = 'WAITING';
CREATE INDEX notices_by_state ON notices (state, number);

CREATE TABLE notice_letters (
    number          bigint PRIMARY KEY REFERENCES notices ON DELETE CASCADE,
    subscription_id text   NOT NULL REFERENCES subscriptions,
    recipient       text   NOT NULL,
    subject         text   NOT NULL,
    body            text   NOT NULL
);
CREATE INDEX notice_letters_by_subscription ON notice_letters (subscription_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON notices, notice_letters TO worksub_worker;
GRANT SELECT ON notices, notice_letters TO worksub_reader;
