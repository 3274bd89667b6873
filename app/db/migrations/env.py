"""Alembic's environment: the caller's connection, with lock and statement time-outs."""

from alembic import context
from sqlalchemy import Connection, text

from app.db.models import Base

connection: Connection = context.config.attributes["connection"]
connection.execute(text("SET lock_timeout = '5s'"))
connection.execute(text("SET statement_timeout = '60s'"))
context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()
