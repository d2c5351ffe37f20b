"""Everything stored: the tables, the sessions, and the repositories that hold all SQL."""
