"""The gateway: a graph as a service, one session of it for each connection."""
