"""What every room needs and what knows none of them: errors, names, configuration, endpoints, sizes, texts, tickets."""
