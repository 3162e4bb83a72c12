"""Mail from an address of one's own."""
