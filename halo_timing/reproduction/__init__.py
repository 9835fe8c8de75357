"""Published results, figure by figure, beside what this flow measures."""
