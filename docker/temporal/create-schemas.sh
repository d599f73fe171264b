#!/bin/sh
# Brings Temporal's two databases to the schema of this release; run again, it changes nothing.
# The databases themselves exist already, so that this login needs no right to create any. In a cluster
# where they do not: temporal-sql-tool … create.
set -eu

for store in temporal visibility; do
    case $store in
    temporal) database=temporal ;;
    visibility) database=temporal_visibility ;;
    esac
    echo "Bringing $database up to date"
    export SQL_DATABASE="$database"
    temporal-sql-tool setup-schema -v 0.0
    temporal-sql-tool update-schema -d "/etc/temporal/schema/postgresql/v12/$store/versioned"
done
