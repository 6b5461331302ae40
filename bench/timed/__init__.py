"""Measures rates, latencies and processor time of servers under the load of wrk, beside peers."""
