"""Activity interceptors."""
