"""The tables of papers, trained again: what they report, and what comes out here."""
