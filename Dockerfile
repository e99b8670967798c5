# Not run yet: checked by reading, and by tests/unit/test_deployment.py as far as that goes without Docker.
#
#   docker build --tag pixcore .
#   docker run --rm pixcore --help
#
# Holds no secret and takes none while it is built; what a worker needs comes as environment: docs/configuration.md.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG EXTRAS=celery,rq,postgres,azure,s3,metrics
WORKDIR /build
RUN python -m venv /venv
# every file is checked against the hashes of the lock; from these files alone, the next step installs what pixcore needs
COPY requirements.lock .
RUN /venv/bin/pip download --no-cache-dir --no-deps --require-hashes --requirement requirements.lock --dest packages
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /venv/bin/pip install --no-cache-dir --no-index --find-links packages ".[${EXTRAS}]"

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --create-home pixcore && install --directory --owner pixcore --mode 0700 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
# what a volume mounted here is made from: the user's own folder
WORKDIR /data
# no HEALTHCHECK: an image has many commands; compose.yaml and deploy/kubernetes have one for each service
ENTRYPOINT ["pixcore"]
CMD ["--help"]
