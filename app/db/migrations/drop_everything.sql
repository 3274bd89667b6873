-- Drops every table, view, sequence, function and type of the current schema, except Alembic's own
-- table and the objects of extensions. It reads the names from the catalog, so it also clears
-- databases of other versions.
DO $$
DECLARE
  statement text;
BEGIN
  -- An array, so that all names are read before the first object is dropped.
  FOREACH statement IN ARRAY ARRAY(
    SELECT format('DROP %s IF EXISTS %s CASCADE', kind, name)
      FROM (SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                   oid::regclass::text AS name, 'pg_class'::regclass AS catalog, oid
              FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace
               AND relkind IN ('r', 'p', 'v', 'm', 'S') AND relname <> 'alembic_version'
            UNION ALL
            SELECT 'ROUTINE', oid::regprocedure::text, 'pg_proc'::regclass, oid
              FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
            UNION ALL
            SELECT 'TYPE', oid::regtype::text, 'pg_type'::regclass, oid
              FROM pg_type WHERE typnamespace = current_schema()::regnamespace
               AND typtype IN ('d', 'e')) AS found
     -- Objects of an extension (e) stay; the sequence of an identity column (i) is dropped with its
     -- column.
     WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = found.catalog AND objid = found.oid
                          AND deptype IN ('e', 'i'))) LOOP
    EXECUTE statement;
  END LOOP;
END $$;
