//! What makes a world reachable: loopback HTTP, an in-process connector, a durable file.
