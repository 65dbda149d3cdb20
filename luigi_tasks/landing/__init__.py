"""The way of a row of the export, from its file to the landing tables."""
