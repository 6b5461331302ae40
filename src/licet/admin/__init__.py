"""The admin listener serves administrators: the admin API and the dashboard, apart from public clients."""
