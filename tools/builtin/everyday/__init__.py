"""Tools that need no account and no network."""
