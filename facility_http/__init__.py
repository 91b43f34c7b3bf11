"""How facilities are spoken to over HTTP: politely, bounded, with a guard on addresses and keys."""
