"""Writes what happened in pools for other tools: as RLM's report log, CSV or JSON."""
