"""Parts of pages: the frame with its column, faces, runs of text, files of a form."""
