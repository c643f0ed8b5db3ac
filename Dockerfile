# One image for every process; the command decides which one it is (see Procfile and docker-compose.yml).
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    VAR_DIR=/var/lib/bellhop

RUN useradd --create-home --uid 10001 bellhop \
    && install -d -o bellhop -g bellhop -m 700 /var/lib/bellhop

WORKDIR /srv/bellhop
COPY pyproject.toml README.md ./
COPY app app
COPY jobs jobs
COPY admin admin
RUN pip install -e .

USER bellhop
VOLUME /var/lib/bellhop
EXPOSE 3000

HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 3000}/healthz\", timeout=2)"]

CMD ["env", "HOST=0.0.0.0", "gunicorn", "-c", "python:app.gunicorn_config", "app.wsgi:app"]
