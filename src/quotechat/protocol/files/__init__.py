"""Files by their content: types, sizes of pictures, and metadata. Pure."""
