"""What a weight value costs."""
