-- Runs once, when the PostgreSQL container creates its data: who may sign in, and which database is whose.
-- Passwords come from the container's environment, so that none stands in a file or an argument list.

\set ON_ERROR_STOP on
\getenv temporal_password TEMPORAL_DB_PASSWORD
\getenv owner_password WORKSUB_OWNER_PASSWORD
\getenv service_password WORKSUB_SERVICE_PASSWORD
\getenv web_password WORKSUB_WEB_PASSWORD
\getenv operator_password WORKSUB_OPERATOR_PASSWORD

-- The roles that the migrations grant rights to. They cannot sign in; the logins below are members.
CREATE ROLE worksub_worker NOLOGIN;
CREATE ROLE worksub_reader NOLOGIN;
CREATE ROLE worksub_api NOLOGIN;
CREATE ROLE worksub_admin NOLOGIN;
CREATE ROLE worksub_console NOLOGIN;

-- Temporal's own login, and four for the service. The owner migrates; CREATEROLE is for roles that
-- migrations add, such as the product's.
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE ROLE worksub_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE worksub_service LOGIN PASSWORD :'service_password';
CREATE ROLE worksub_web LOGIN PASSWORD :'web_password';
CREATE ROLE worksub_operator LOGIN PASSWORD :'operator_password';

-- `worksub setup` publishes the catalogue in the worker's role, so the owner may act in it.
GRANT worksub_worker TO worksub_owner, worksub_service;
-- The worker's health check, `worksub doctor`, looks as people do.
GRANT worksub_reader TO worksub_operator, worksub_web, worksub_service;
-- The API looks keys up, and those who run the service make them. The console answers in the same process.
GRANT worksub_api, worksub_console TO worksub_web;
GRANT worksub_admin TO worksub_operator;

-- No erasure reaches the server's log, so it has no values of rows, statements or parameters.
ALTER SYSTEM SET log_error_verbosity = 'terse';
ALTER SYSTEM SET log_min_error_statement = 'panic';
ALTER SYSTEM SET log_parameter_max_length = 0;
ALTER SYSTEM SET log_parameter_max_length_on_error = 0;

CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE worksub OWNER worksub_owner;

-- Without this every login could connect to every database.
REVOKE CONNECT, TEMPORARY ON DATABASE temporal, temporal_visibility, worksub, postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE worksub TO worksub_worker, worksub_reader;

-- No login can take all connections, or hold a lock for ever. A second worker needs 10 connections, a second API 28.
ALTER SYSTEM SET max_connections = 200;
ALTER ROLE temporal CONNECTION LIMIT 100;
ALTER ROLE worksub_owner CONNECTION LIMIT 5;
ALTER ROLE worksub_service CONNECTION LIMIT 40;
ALTER ROLE worksub_web CONNECTION LIMIT 40;
ALTER ROLE worksub_operator CONNECTION LIMIT 10;
ALTER ROLE worksub_owner SET lock_timeout = '30s';
ALTER ROLE worksub_owner SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE worksub_service SET statement_timeout = '1min';
ALTER ROLE worksub_service SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE worksub_web SET statement_timeout = '1min';
ALTER ROLE worksub_web SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE worksub_operator SET statement_timeout = '1min';
ALTER ROLE worksub_operator SET lock_timeout = '10s';
ALTER ROLE worksub_operator SET idle_in_transaction_session_timeout = '1min';

-- Whoever may connect could otherwise fill the disk with large objects, which belong to no table.
\connect worksub
DO $$
DECLARE each regprocedure;
BEGIN
    FOR each IN SELECT oid FROM pg_proc
                 WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^lo(_.*|read|write)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', each);
    END LOOP;
END
$$;
