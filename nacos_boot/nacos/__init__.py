"""The way to the Nacos server; the only folder that knows its SDK."""
