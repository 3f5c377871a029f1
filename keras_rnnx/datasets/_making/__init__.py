"""How tasks are made: of arrays, files, series, texts and prepared data sets."""
