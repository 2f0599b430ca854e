"""From a request to a plan: what is asked of the model, and what is made of its answer."""
