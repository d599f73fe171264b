-- A member of the product's stand-in takes one of the seats that are paid for (R36). The subscription's row is locked
-- before its members are counted, so two cannot take the last seat; and nothing of a member is quoted in an error, which
-- PostgreSQL's log would keep longer than the member (R31).

CREATE FUNCTION add_member(subscription text, member text, called text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    seats integer;
    added boolean;
BEGIN
    -- Also the lock that an erasure takes first.
    SELECT subscriptions.members INTO seats FROM public.subscriptions
     WHERE subscription_id = subscription AND state <> 'ERASED' FOR NO KEY UPDATE;
    -- The administrator has one of the seats.
    IF NOT FOUND OR seats <= 1 + (SELECT count(*) FROM public.members WHERE subscription_id = subscription) THEN
        RETURN false;
    END IF;
    INSERT INTO public.members (subscription_id, member_id, name) VALUES (subscription, member, called)
    ON CONFLICT DO NOTHING RETURNING true INTO added;
    RETURN coalesce(added, false);
END
$$;
REVOKE EXECUTE ON FUNCTION add_member(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_member(text, text, text) TO worksub_console;
REVOKE INSERT ON members FROM worksub_console;


-- A worker that begins a subscription inserts its row here, which blocks another until the transaction ends, and
-- deletes it in the same transaction. Any login can hold an advisory lock; this one takes a right to insert.
CREATE TABLE subscription_locks (
    subscription_id text PRIMARY KEY
);
GRANT SELECT, INSERT, DELETE ON subscription_locks TO worksub_worker;
