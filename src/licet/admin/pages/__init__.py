"""The pages of the dashboard: HTML and plain forms, with live updates."""
