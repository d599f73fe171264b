-- What lists ask for among a million subscriptions, of which few are the ones that are looked for.

CREATE INDEX subscriptions_reserved ON subscriptions (reservation_date, subscription_id)
    WHERE reservation_date IS NOT NULL;
CREATE INDEX subscriptions_by_contract_end ON subscriptions (contract_to, subscription_id)
    WHERE contract_to IS NOT NULL;
CREATE INDEX subscriptions_restricted ON subscriptions (subscription_id)
    WHERE access = 'RESTRICTED';
