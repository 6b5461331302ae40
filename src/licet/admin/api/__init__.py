"""The admin API: JSON over HTTP, described by an OpenAPI document."""
