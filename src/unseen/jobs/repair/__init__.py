"""Too few photos, or a poor fit, become a sound reconstruction (`unseen repair`)."""
