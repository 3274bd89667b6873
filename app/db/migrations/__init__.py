"""The migrations of the schema. Each does one thing; larger changes expand, backfill and contract.

Until the first tag there is one migration, the baseline. Every change of the schema edits the files
that it runs, those of `baseline` and of `app/db/sql`. The checksum of these files is stored in each
database, and a database with another checksum is refused. With the first tag the migrations are
frozen:

    python -m app.db.baseline

writes the checksum of each into `frozen.json`, which is committed with the tag. From then on a test
fails if a frozen migration has changed. Each later change of the schema is a new migration, which
is frozen with the tag that ships it. It runs the files of the SQL functions that it creates or
replaces, and parses no SQL.
"""
