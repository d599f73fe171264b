#!/bin/sh
# Updates the schemas of Temporal's two databases to this release. Repeating it changes nothing.
# The databases already exist, so the login needs no privilege to create databases. In a cluster without them,
# run first: temporal-sql-tool … create.
set -eu

for store in temporal visibility; do
    case $store in
    temporal) database=temporal ;;
    visibility) database=temporal_visibility ;;
    esac
    echo "Updating the schema of $database"
    export SQL_DATABASE="$database"
    temporal-sql-tool setup-schema -v 0.0
    temporal-sql-tool update-schema -d "/etc/temporal/schema/postgresql/v12/$store/versioned"
done
