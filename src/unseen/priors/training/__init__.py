"""What every training recipe shares: a stage of steps with checkpoints, and the log of a run."""
