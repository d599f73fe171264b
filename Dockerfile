# Image of the worker, the API and the `worksub` command, without the servers of the local stack.

ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/worksub
COPY pyproject.toml README.md worker.py ./
COPY requirements requirements
COPY subscription subscription
COPY adapters adapters
COPY workflows workflows
COPY activities activities
COPY starter starter
COPY dev_stack dev_stack
COPY entrypoints entrypoints
# Only packages with a hash in the file are installed. setuptools is required for this step only.
RUN /opt/worksub/bin/pip install --require-hashes --requirement requirements/image.txt \
 && /opt/worksub/bin/pip install --no-deps --no-build-isolation . \
 && /opt/worksub/bin/pip uninstall --yes setuptools

FROM ${PYTHON}
# For invoices as PDF: WeasyPrint loads Pango, and the fonts contain the Korean characters.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      fonts-nanum libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0 \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --no-create-home worksub
COPY --from=build /opt/worksub /opt/worksub
COPY catalogue.toml /etc/worksub/catalogue.toml
# glibc returns freed memory to the system, instead of keeping it in the arenas of many threads.
ENV PATH=/opt/worksub/bin:$PATH \
    MALLOC_ARENA_MAX=2 \
    MALLOC_TRIM_THRESHOLD_=131072 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WORKSUB_CATALOGUE=/etc/worksub/catalogue.toml
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
CMD ["worksub", "worker"]
