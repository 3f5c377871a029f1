"""Language models as published, and how their papers train them."""
