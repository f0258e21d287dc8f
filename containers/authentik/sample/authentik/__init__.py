"""A miniature of the backend."""

VERSION = "2026.2.0"
