-- What ANALYZE, and so autovacuum, samples of a column stays in pg_statistic after the rows are erased (R31).
-- So nothing is sampled of what may name a person, and what was sampled so far goes: changing a column's
-- type, even to what it is, forgets its statistics.

ALTER TABLE subscriptions
    ALTER COLUMN snapshot TYPE jsonb, ALTER COLUMN snapshot SET STATISTICS 0,
    ALTER COLUMN request_fingerprint TYPE text, ALTER COLUMN request_fingerprint SET STATISTICS 0;
ALTER TABLE account_names
    ALTER COLUMN name TYPE text, ALTER COLUMN name SET STATISTICS 0;
ALTER TABLE administrators
    ALTER COLUMN admin_id TYPE text, ALTER COLUMN admin_id SET STATISTICS 0,
    ALTER COLUMN password_hash TYPE text, ALTER COLUMN password_hash SET STATISTICS 0;
ALTER TABLE companies
    ALTER COLUMN company_name TYPE text, ALTER COLUMN company_name SET STATISTICS 0,
    ALTER COLUMN company_phone TYPE text, ALTER COLUMN company_phone SET STATISTICS 0;
ALTER TABLE members
    ALTER COLUMN member_id TYPE text, ALTER COLUMN member_id SET STATISTICS 0;
ALTER TABLE workspaces
    ALTER COLUMN account_name TYPE text, ALTER COLUMN account_name SET STATISTICS 0;
ALTER TABLE domain_tokens
    ALTER COLUMN domain TYPE text, ALTER COLUMN domain SET STATISTICS 0,
    ALTER COLUMN token TYPE text, ALTER COLUMN token SET STATISTICS 0;
ALTER TABLE event_notes
    ALTER COLUMN asked_by TYPE text, ALTER COLUMN asked_by SET STATISTICS 0,
    ALTER COLUMN private TYPE jsonb, ALTER COLUMN private SET STATISTICS 0;
ALTER TABLE notice_letters
    ALTER COLUMN recipient TYPE text, ALTER COLUMN recipient SET STATISTICS 0,
    ALTER COLUMN subject TYPE text, ALTER COLUMN subject SET STATISTICS 0,
    ALTER COLUMN body TYPE text, ALTER COLUMN body SET STATISTICS 0;
