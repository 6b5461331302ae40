"""Runs the migrations, for Alembic, on the connection that `licet.store.migrate` passes."""

from alembic import context

from licet.store.schema import metadata
from licet.store.tables.parts import add_conditions_for_postgres

add_conditions_for_postgres()
attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table=attributes["version_table"],
    target_metadata=metadata,
    render_as_batch=True,
    on_version_apply=attributes["after_step"],
)
context.run_migrations()  # in the caller's transaction: all steps, or none
