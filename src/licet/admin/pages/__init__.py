"""The pages are the dashboard: HTML and plain forms, with live updates."""
