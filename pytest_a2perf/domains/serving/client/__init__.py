"""The client: one streamed request at a time over a connection, timed at the socket."""
