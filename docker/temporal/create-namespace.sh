#!/bin/sh
# Creates the namespace TEMPORAL_NAMESPACE at TEMPORAL_ADDRESS, if it does not exist.
set -eu

wait_until() {
    attempts=60
    until "$@" >/dev/null 2>&1; do
        attempts=$((attempts - 1))
        if [ "$attempts" -eq 0 ]; then
            echo "Temporal at $TEMPORAL_ADDRESS is not ready. This command fails:" "$@" >&2
            "$@" >&2
            exit 1
        fi
        sleep 1
    done
}

wait_until temporal operator cluster health
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
    echo "Namespace $TEMPORAL_NAMESPACE exists."
else
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
    # The services of the server load a new namespace at different times.
    wait_until temporal workflow list --namespace "$TEMPORAL_NAMESPACE" --limit 1
fi
