"""Who is who: the lab's certificate authority, and TLS 1.3 with both sides verified."""
