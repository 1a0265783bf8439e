"""Repair of renders of a poor reconstruction with the help of photos (GS-VAR, VARSR, Difix)."""
