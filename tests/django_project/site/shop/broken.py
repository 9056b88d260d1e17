"""Settings that cannot be used."""

raise RuntimeError("no database today")
