"""Do the cures cure? Training runs over several seeds, kept with table and plot."""
