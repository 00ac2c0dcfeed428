"""Small tables that people bring: one machine reads them all, and tells what is wrong with their rows."""
