"""ClickHouse's engine (chDB) in this process, behind ClickHouse's HTTP interface.

The package is an adapter, not a database: it turns HTTP requests into engine calls and engine
results into HTTP responses, the way a ClickHouse server does, so that unmodified clients work.

``__main__``     the command line: lock, socket, engine, server
``app``          routes and the life of one request
``request``      an HTTP request as query, settings, parameters and data
``statement``    where the SQL of a request ends and its data begins
``engine``       connections to chDB: run, stream out, stream in
``sessions``     state that outlives one request
``auth``         user and password
``compression``  encodings of request and response bodies
``errors``       ClickHouse's error codes and the HTTP status each one gets
"""
