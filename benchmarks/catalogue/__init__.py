"""All cells compared: what they learn in equal time, after the same small search."""
