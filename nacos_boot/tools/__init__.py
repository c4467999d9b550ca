"""The commands `check`, `schema`, `publish` and `api-key`."""
