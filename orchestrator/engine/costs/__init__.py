"""What a run will take and has taken: forecast, estimate, budget, usage windows."""
