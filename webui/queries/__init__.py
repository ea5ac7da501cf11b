"""Every SQL statement of the web UI: accounts, PBXs, polls, and recordings."""
