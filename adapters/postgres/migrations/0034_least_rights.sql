-- The API's process and the operators' commands manage webhook endpoints. Of subscriptions and events they need ids
-- and kinds alone, and of a delivery they change only what sends it again.

REVOKE SELECT ON subscriptions, lifecycle_events FROM worksub_admin;
GRANT SELECT (subscription_id, customer_id) ON subscriptions TO worksub_admin;
GRANT SELECT (subscription_id, sequence, event) ON lifecycle_events TO worksub_admin;

REVOKE INSERT, UPDATE ON webhook_endpoints FROM worksub_admin;
REVOKE INSERT ON webhook_endpoints FROM worksub_api;
REVOKE INSERT, UPDATE ON webhook_deliveries FROM worksub_api, worksub_admin;
GRANT INSERT (endpoint_id, customer_id, url, events) ON webhook_endpoints TO worksub_api, worksub_admin;
-- The API's right to UPDATE stays one to the whole table, because LOCK TABLE counts no other.
GRANT UPDATE (status, status_reason, failures, paused_until, removed_at) ON webhook_endpoints TO worksub_admin;
GRANT INSERT (endpoint_id, subscription_id, sequence),
      UPDATE (state, attempts, last_error, claim, claimed_until, queued_at, next_attempt_at, settled_at)
   ON webhook_deliveries TO worksub_api, worksub_admin;

-- A sign-in at the issuer that is under way is kept by the browser, encrypted, and is no session.
DELETE FROM console_sessions WHERE realm = 'SIGNING_IN';
ALTER TABLE console_sessions
    DROP CONSTRAINT console_sessions_realm_check,
    ADD CONSTRAINT console_sessions_realm_check CHECK (realm IN ('CONSOLE', 'WORKS_ADMIN'));
