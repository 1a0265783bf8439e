"""Training of the multi-view prior: albums of heads, and one recipe for every size."""
