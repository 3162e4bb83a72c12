"""Tools of the open web that need no account of the person."""
