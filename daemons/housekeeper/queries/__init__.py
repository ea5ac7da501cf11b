"""SQL of the housekeeper, a module for each chore."""
