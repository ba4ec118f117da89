"""Exchanges over a direct link, and the services that receive content."""
