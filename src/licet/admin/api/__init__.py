"""The admin API is JSON over HTTP under `/api/v1`, described by an OpenAPI document."""
