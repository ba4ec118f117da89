"""The S-Router daemon: its routing table, who asks whom, and the links to its neighbours."""
