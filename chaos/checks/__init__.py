"""The checks: a history is compared with what the licence allows; no check knows a node or a store."""
