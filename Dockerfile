# syntax=docker/dockerfile:1
# The image of every role: worker, trainer, sweeper, web and the command line. Dependencies come from the lock, with
# hashes; compilers and test tools stay out; it runs as a user without rights.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/facefleet
COPY requirements.lock /tmp/
RUN /opt/facefleet/bin/pip install --require-hashes --requirement /tmp/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY core /src/core
COPY db /src/db
COPY workers /src/workers
COPY web /src/web
COPY scripts /src/scripts
# Built with the locked setuptools that torch brings.
RUN /opt/facefleet/bin/pip install --no-deps --no-build-isolation /src

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 facefleet \
    && install --directory --owner=facefleet --group=facefleet --mode=0700 /data
COPY --from=build /opt/facefleet /opt/facefleet
ENV PATH=/opt/facefleet/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FACEFLEET_HOME=/data
USER facefleet
WORKDIR /data
VOLUME /data
ENTRYPOINT ["facefleet"]
CMD ["--help"]
