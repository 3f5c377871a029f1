"""What a cell is made of: everything but the catalogue."""
