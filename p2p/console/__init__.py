"""The console of a daemon: lines of JSON over a UNIX socket, both ends of it, its server, and the operations."""
