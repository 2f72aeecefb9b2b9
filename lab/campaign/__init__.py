"""`make campaign`: the promises, measured on lab hosts, and written to docs/reliability.md."""
