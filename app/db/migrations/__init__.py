"""The schema's history: expand, backfill, contract; one idea a file.

Until the first tag there is one migration, the baseline, which every change of the schema edits
(with the files of `baseline` and of `app/db/sql`). A database that another text has made is
recognised by its checksum and refused. With the first tag the migrations are frozen:

    python -m app.db.baseline

writes the checksum of each into `frozen.json`, which is committed with the tag. From then on a
test refuses a migration that has changed, and each change of the schema is a migration of its own,
frozen with the tag that ships it. Such a migration runs by name the files of the functions that it
creates or replaces, and parses no SQL.
"""
