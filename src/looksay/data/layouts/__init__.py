"""Layouts of caption data sets; their readers raise `DataError` with file and row if a file is broken."""
