-- An adjustment is of at most what its line charged. The activity also holds the sum of a line's adjustments to
-- that; here each is checked alone, because a repair after a restore inserts them in any order.
CREATE FUNCTION adjusts_no_more_than_charged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF abs(NEW.amount) > (SELECT amount FROM ledger_lines WHERE key = NEW.line_key) THEN
        RAISE EXCEPTION 'an adjustment is of at most what its line charged' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER adjusts_no_more_than_charged BEFORE INSERT ON ledger_adjustments
    FOR EACH ROW EXECUTE FUNCTION adjusts_no_more_than_charged();
