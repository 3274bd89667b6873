-- Of the e-mail addresses and groups that an approval asks, those that can decide nothing: an address
-- that no user has, and a group of p_owner (the workflow's owner) that does not exist, or of whose
-- members none is a user. Users' addresses are stored in this folded form. Null (the workflow's owner is
-- asked) contains neither.
CREATE OR REPLACE FUNCTION unknown_approvers_v1(p_owner uuid, p_asked text[]) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT coalesce(array_agg(asked ORDER BY asked), '{}') FROM unnest(p_asked) AS asked
   WHERE NOT EXISTS (
     SELECT FROM users
      WHERE email = ANY (approvers_v1(p_owner, ARRAY[casefold(asked COLLATE pg_unicode_fast)])))
$$;
