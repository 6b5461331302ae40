"""Alerts in tests: what raises them, who receives them, and the queries of Prometheus."""
