#!/bin/sh
# Creates the namespace that TEMPORAL_NAMESPACE names, if it does not exist. TEMPORAL_ADDRESS says where.
set -eu

attempts=60
until temporal operator cluster health >/dev/null 2>&1; do
    attempts=$((attempts - 1))
    if [ "$attempts" -eq 0 ]; then
        echo "Temporal at $TEMPORAL_ADDRESS does not answer." >&2
        exit 1
    fi
    sleep 1
done

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
    echo "Namespace $TEMPORAL_NAMESPACE exists."
else
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi
