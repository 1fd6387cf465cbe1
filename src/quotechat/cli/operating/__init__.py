"""The operator's commands: carry, check, mend and remove data, and examine a server from outside."""
