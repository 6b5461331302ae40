"""The operations of the admin API, one file a tag of its document."""
