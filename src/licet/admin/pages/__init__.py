"""The pages of the dashboard: HTML, plain forms, live updates."""
