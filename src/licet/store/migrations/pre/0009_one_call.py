"""Adds, on PostgreSQL, the function that commits a batch by one call, and triggers that see who else writes.

`store/postgres/one_call.py` calls the function. A role that may not create functions gets neither it nor the
triggers; then every batch is loaded, decided and saved.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_MAY_CREATE = (
    "SELECT count(*) FROM pg_language WHERE lanname = 'plpgsql' AND has_language_privilege(oid, 'USAGE')"
)

# Whoever writes sessions or seats and does not say that it is a batch, which sets `tenant.writer`: a change
# of the set-up, a node of a version that knows nothing of this, an administrator by hand.
_NOTICE = """
CREATE FUNCTION licet_written() RETURNS trigger LANGUAGE plpgsql
SET search_path = {path}
AS $$ BEGIN
  UPDATE setup SET writer = writer + 1;
  RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE TRIGGER licet_written AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT
WHEN (current_setting('licet.is_batch', true) IS DISTINCT FROM 'yes') EXECUTE FUNCTION licet_written()
"""

# The classes of advisory locks are those of `store/postgres/store.py`. Each statement sees what was committed
# before it began, so the checks come after the locks. Every instant is the database's, under the locks. Below
# 0 it says why nothing was done: another set-up, another writer, too late.
_COMMIT = """
CREATE FUNCTION licet_commit(
  the_version bigint, the_setup_writer bigint, the_writer bigint, the_backend integer,
  least_ms bigint, until_ms bigint, locks integer[], tenants bigint[],
  sids bytea[], tenant_ids bigint[], client_keys bigint[], scopes text[], pool_ids bigint[], holders text[],
  lives_ms bigint[], addresses text[], pools text[], client_ids text[], initials text[],
  renewed_sids bytea[], renewed_lives_ms bigint[],
  seat_pools bigint[], seat_holders text[], seat_lives_ms bigint[], seat_sources text[]
) RETURNS bigint LANGUAGE plpgsql VOLATILE
SET search_path = {path}
AS $$
DECLARE
  is_so boolean;
  at_ms bigint;
  touched bigint;
BEGIN
  PERFORM pg_advisory_xact_lock_shared({setup_lock}, 0);
  PERFORM pg_advisory_xact_lock({tenant_lock}, one) FROM unnest(locks) AS one;
  SELECT version = the_version AND writer = the_setup_writer AND pg_backend_pid() = the_backend
  INTO is_so FROM setup;
  IF is_so IS NOT TRUE THEN
    RETURN -1;
  END IF;
  SELECT count(*) = cardinality(tenants) INTO is_so
  FROM tenant WHERE id = ANY(tenants) AND writer = the_writer;
  IF is_so IS NOT TRUE THEN
    RETURN -2;
  END IF;
  at_ms := greatest(least_ms, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
  IF at_ms >= until_ms THEN
    RETURN -3;
  END IF;
  PERFORM set_config('licet.is_batch', 'yes', true);
  IF cardinality(sids) > 0 THEN
    INSERT INTO session (
      sid, tenant_id, client_key, scope, pool_id, holder, started_at_ms, renewed_at_ms, expires_at_ms, address
    )
    SELECT it.sid, it.tenant_id, it.client_key, it.scope, it.pool_id, it.holder,
      at_ms, at_ms, at_ms + it.life_ms, it.address
    FROM unnest(sids, tenant_ids, client_keys, scopes, pool_ids, holders, lives_ms, addresses)
      AS it (sid, tenant_id, client_key, scope, pool_id, holder, life_ms, address);
    INSERT INTO journal_entry (tenant_id, at_ms, kind, reason, pool, client_id, initials, address)
    SELECT it.tenant_id, at_ms, 'granted', '', it.pool, it.client_id, it.initials, it.address
    FROM unnest(tenant_ids, pools, client_ids, initials, addresses)
      AS it (tenant_id, pool, client_id, initials, address);
  END IF;
  IF cardinality(renewed_sids) > 0 THEN
    UPDATE session SET renewed_at_ms = at_ms, expires_at_ms = at_ms + it.life_ms
    FROM unnest(renewed_sids, renewed_lives_ms) AS it (sid, life_ms) WHERE session.sid = it.sid;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> cardinality(renewed_sids) THEN
      RAISE 'a session to be renewed is not there' USING ERRCODE = 'data_exception';
    END IF;
  END IF;
  IF cardinality(seat_pools) > 0 THEN
    UPDATE seat SET expires_at_ms = at_ms + it.life_ms, issued_at_ms = at_ms, sources = it.sources
    FROM unnest(seat_pools, seat_holders, seat_lives_ms, seat_sources)
      AS it (pool_id, holder, life_ms, sources)
    CROSS JOIN LATERAL (
      SELECT ctid FROM seat WHERE pool_id = it.pool_id AND holder >= it.holder AND holder <= it.holder
      ORDER BY holder LIMIT 1
    ) AS found
    WHERE seat.ctid = found.ctid;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> cardinality(seat_pools) THEN
      RAISE 'a seat to be kept is not there' USING ERRCODE = 'data_exception';
    END IF;
  END IF;
  RETURN at_ms;
END $$
"""


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql" or not connection.execute(sa.text(_MAY_CREATE)).scalar():
        return
    path = connection.execute(sa.text("SELECT quote_ident(current_schema()) || ', pg_temp'")).scalar_one()
    locks = {"setup_lock": 0x6C_69_63_00, "tenant_lock": 0x6C_69_63_01}
    for statement in (_NOTICE, _COMMIT):
        connection.exec_driver_sql(statement.format(path=path, **locks))
    for table in ("session", "seat"):
        connection.exec_driver_sql(_TRIGGER.format(table=table))
    connection.exec_driver_sql("REVOKE ALL ON FUNCTION licet_written, licet_commit FROM PUBLIC")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("session", "seat"):
            op.execute(f"DROP TRIGGER IF EXISTS licet_written ON {table}")
        op.execute("DROP FUNCTION IF EXISTS licet_written, licet_commit")
