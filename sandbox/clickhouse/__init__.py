"""ClickHouse's engine (chDB) in this process, behind ClickHouse's HTTP interface.

The package is an adapter, not a database: it turns HTTP requests into engine calls and engine
results into HTTP responses, the way a ClickHouse server does, so that unmodified clients work.

``__main__``     the command line: lock, socket, engine, server
``datadir``      one process per data directory
``protocol``     HTTP below ASGI: long URLs, headers before the response
``app``          routes and the life of one request
``request``      an HTTP request as query, settings, parameters
``auth``         user and password
``incoming``     query text and rows in one stream of bytes
``statement``    where the SQL of a request ends and its data begins
``query_ids``    the clients' query ids in system tables and KILL QUERY
``sessions``     state that outlives one request
``execution``    the engine's side of one request
``row_pipe``     the rows of an INSERT on their way into the engine
``engine``       connections to chDB: run, stream out, stream in
``configuration``  what SQL may do, and the rest that the engine is told at its start
``confinement``  what the process may do, told to the kernel
``answers``      headers and bodies of responses
``compression``  encodings of request and response bodies
``blocks``       ClickHouse's own compression
``errors``       ClickHouse's error codes and the HTTP status each one gets
"""
