"""Networks with firewalls and NATs, made of namespaces, on which it is seen who can be linked with whom."""
