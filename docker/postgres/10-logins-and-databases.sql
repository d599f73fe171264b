-- Creates the logins and databases. Runs once, when the PostgreSQL container creates its data directory.
-- Passwords come from the environment of the container, so that no file or argument list contains one.

\set ON_ERROR_STOP on
\getenv temporal_password TEMPORAL_DB_PASSWORD
\getenv owner_password WORKSUB_OWNER_PASSWORD
\getenv service_password WORKSUB_SERVICE_PASSWORD
\getenv web_password WORKSUB_WEB_PASSWORD
\getenv operator_password WORKSUB_OPERATOR_PASSWORD

-- Roles without login. The migrations grant privileges to them; the logins below are their members.
CREATE ROLE worksub_worker NOLOGIN;
CREATE ROLE worksub_reader NOLOGIN;
CREATE ROLE worksub_api NOLOGIN;
CREATE ROLE worksub_admin NOLOGIN;
CREATE ROLE worksub_console NOLOGIN;
CREATE ROLE worksub_exporter NOLOGIN;

-- The login of Temporal, and four logins of the service. The owner runs the migrations. It needs CREATEROLE,
-- because migrations create roles, such as the role of the product.
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE ROLE worksub_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE worksub_service LOGIN PASSWORD :'service_password';
CREATE ROLE worksub_web LOGIN PASSWORD :'web_password';
CREATE ROLE worksub_operator LOGIN PASSWORD :'operator_password';

-- `worksub setup` publishes the catalogue as worksub_worker, so the owner is a member of that role.
GRANT worksub_worker TO worksub_owner, worksub_service;
-- `worksub doctor` reads as worksub_reader, also with the login of the worker.
GRANT worksub_reader TO worksub_operator, worksub_web, worksub_service;
-- The API process authenticates API keys and serves the console. Operators create the keys.
GRANT worksub_api, worksub_console TO worksub_web;
GRANT worksub_admin TO worksub_operator;
-- Exports of subscriptions: in the console and the API, and with `worksub export`.
GRANT worksub_exporter TO worksub_web, worksub_operator;

-- Erasure does not cover the server log, so the log must not contain values of rows, statements or parameters.
ALTER SYSTEM SET log_error_verbosity = 'terse';
ALTER SYSTEM SET log_min_error_statement = 'panic';
ALTER SYSTEM SET log_parameter_max_length = 0;
ALTER SYSTEM SET log_parameter_max_length_on_error = 0;

CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE DATABASE worksub OWNER worksub_owner;

-- By default every login can connect to every database.
REVOKE CONNECT, TEMPORARY ON DATABASE temporal, temporal_visibility, worksub, postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE worksub TO worksub_worker, worksub_reader;

-- Limits per login: connections and lock duration. A second worker needs 10 connections, a second API process 32.
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

-- Every login could otherwise fill the disk with large objects, which require no privilege on a table.
\connect worksub
DO $$
DECLARE lo_function regprocedure;
BEGIN
    FOR lo_function IN SELECT oid FROM pg_proc
                 WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^lo(_.*|read|write)$'
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', lo_function);
    END LOOP;
END
$$;
