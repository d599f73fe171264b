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
