"""All that touches private parts of Twisted, pyOpenSSL and cryptography: sockets, buffers, TLS in bulk, threads."""
