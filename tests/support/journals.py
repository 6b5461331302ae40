"""The whole journal, as SQL of a test: what is folded, and what is not folded yet."""

WHOLE_JOURNAL = (
    "(SELECT tenant_id, client_id, kind, reason, times FROM journal"
    " UNION ALL SELECT tenant_id, client_id, kind, reason, 1 FROM journal_entry) AS whole_journal"
)
