"""The commands `check`, `schema` and `publish`."""
