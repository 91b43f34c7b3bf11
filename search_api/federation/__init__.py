"""Live federation: facilities asked while somebody waits, under one deadline, honestly merged."""
