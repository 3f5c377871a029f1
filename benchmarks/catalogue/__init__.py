"""All cells compared: parameters, time of a step, and what they learn in equal time."""
