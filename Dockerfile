# One image for every program; the command picks which:
#   python -m service       a node (the default)
#   python -m gateway_lb    the gateway
#   python -m nacos_boot    publishes nacos-config/ to Nacos

FROM python:3.11-slim-bookworm AS packages
COPY requirements.lock .
# Without pip inside: nothing in the image can install anything into it.
RUN python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r requirements.lock

FROM python:3.11-slim-bookworm
# The number is fixed, so that a cluster can check that it is not root's and own volumes by it.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
# A checkout made under a strict umask is still readable here; the root is read-only at run time,
# so what can be compiled is compiled now.
RUN chmod -R a+rX . && python -m compileall -q .
USER 10001:10001
CMD ["python", "-m", "service"]
