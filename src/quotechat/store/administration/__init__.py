"""The audit log, reports, and the settings of the site. Statements only."""
