"""The whole journal as SQL for tests: its folded rows, and the entries that are not folded yet."""

WHOLE_JOURNAL = (
    "(SELECT tenant_id, client_id, kind, reason, times FROM journal"
    " UNION ALL SELECT tenant_id, client_id, kind, reason, 1 FROM journal_entry"
    " UNION ALL SELECT tenant_id, client_id, 'denied', reason, times FROM denial_entry) AS whole_journal"
)

WHOLE_DENIALS = (
    "(SELECT tenant_id, client_id, initials, pool, times, seats, in_use FROM journal WHERE kind = 'denied'"
    " UNION ALL SELECT tenant_id, client_id, initials, pool, times, seats, in_use FROM denial_entry)"
    " AS whole_denials"
)
