"""The description of the API: types and examples beside each view, made into documents."""
