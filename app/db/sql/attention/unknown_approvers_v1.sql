-- Of the e-mail addresses that an approval asks, those that no user has. Users' addresses are
-- stored in this folded form. Null (the workflow's owner is asked) contains no address.
CREATE OR REPLACE FUNCTION unknown_approvers_v1(p_asked text[]) RETURNS text[] LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(address ORDER BY address), '{}') FROM unnest(p_asked) AS address
   WHERE NOT EXISTS (SELECT FROM users
                      WHERE email = casefold(address COLLATE pg_unicode_fast))
$$;
