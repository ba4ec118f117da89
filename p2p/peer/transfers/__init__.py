"""The transfers of a daemon: what moves to and from its peers, brought to its end whatever breaks meanwhile."""
