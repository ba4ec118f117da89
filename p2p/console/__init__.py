"""The console of a daemon: lines of JSON over a UNIX socket, its server, its client, and the operations' words."""
